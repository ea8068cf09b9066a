"""Benchmarks: whole jobs through the public API, in separate processes, one JSON line each."""
