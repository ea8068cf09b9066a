"""Bytes to columns and back: formats know no files, sockets or queues, so every connector can use them."""
