"""What a job's processes and whoever runs them in a cluster tell each other: files and messages, as plain data."""
