"""What others are told: events, metrics, logs, probes. Nothing depends on whether anybody listens."""
