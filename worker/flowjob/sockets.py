"""Sockets: `fj.sockets.lines`, `fj.sockets.jsonl` and `fj.sockets.csv` read, `fj.sockets.sink` writes.

All of them connect as clients to something that listens, and speak lines of UTF-8. A socket cannot be read again: they
are for trying things out, and for feeds that may lose rows."""

from flowjob.connectors.sockets.dialing import Reconnect
from flowjob.connectors.sockets.factories import csv, jsonl, lines, sink

__all__ = ["Reconnect", "csv", "jsonl", "lines", "sink"]
