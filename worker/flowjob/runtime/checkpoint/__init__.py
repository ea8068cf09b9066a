"""Snapshots at the edge: what operators give, how it is laid out in objects, how it is read back."""
