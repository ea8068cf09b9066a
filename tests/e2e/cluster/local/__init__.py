"""A cluster of Kubernetes with real nodes, pods, Services and DNS on this machine, without docker or a registry.

`up` starts it, `down` removes every trace but what is kept to start again sooner. Needs root."""
