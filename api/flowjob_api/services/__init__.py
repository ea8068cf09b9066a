"""Where jobs are: on this machine, or in a cluster. One protocol, two implementations."""
