"""What a JobManager remembers of its job for those who look at it; it decides nothing."""
