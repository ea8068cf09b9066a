"""Stores, names, the log."""
