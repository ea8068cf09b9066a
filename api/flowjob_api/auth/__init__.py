"""Who asks: nobody in particular, whoever has this service's token, or somebody whom Kubernetes knows."""
