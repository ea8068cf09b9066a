"""A whole cluster in one process, in virtual time, under one seed: docs/testing.md."""
