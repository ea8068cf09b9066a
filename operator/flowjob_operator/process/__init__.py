"""The operator as a process: watches, queue, API requests, Lease, events, metrics, logs. Decides nothing about jobs."""
