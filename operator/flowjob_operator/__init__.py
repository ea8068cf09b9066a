"""The Kubernetes operator: makes what a FlowJob asks for, and keeps it so."""
