"""Commands about jobs that run elsewhere: on this machine, behind a service, in a cluster."""
