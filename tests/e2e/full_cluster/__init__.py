"""What only a whole cluster has: a network plugin that enforces policies, a provisioner of volumes (`make kind`)."""
