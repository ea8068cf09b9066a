"""Keyed state and timers: the protocol of backends, and the one that keeps everything in memory."""
