"""From logical graph to job graph: pure functions over data. No I/O, no runtime."""
