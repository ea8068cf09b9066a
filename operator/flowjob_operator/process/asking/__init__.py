"""JobManagers: how they are asked, and what they said last. Knows nothing of Kubernetes."""
