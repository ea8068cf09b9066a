"""Aggregates kept as columns: one value per slot, updated and merged a batch at a time.

A slot is a small int that the operator gives to each (key, window). Nothing here knows keys,
windows or time."""
