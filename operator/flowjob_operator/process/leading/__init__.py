"""Who may act at all: the Lease of the replicas, and the claims of installations on namespaces."""
