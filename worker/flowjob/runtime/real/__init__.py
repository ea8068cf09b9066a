"""The real world behind Env: the only folder of the runtime that may touch clocks, sockets and
processes."""
