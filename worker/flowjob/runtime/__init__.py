"""The I/O edge: processes, sockets, operators at work. It reaches the world only through an injected Env."""
