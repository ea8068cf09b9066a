"""Programs whose plans are kept as text in tests/plan/golden."""
