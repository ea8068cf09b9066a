"""Definitions in a cluster: what may take the place of what, and how it is put there."""
