"""Compiled loops over Arrow buffers and numpy arrays. No engine types in this folder."""
