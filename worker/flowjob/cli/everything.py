"""The `flowjob` command with all its words: those of commands.py, and those about jobs that run.

Why apart: a process of a job knows its few words already, and must not wait for the others to be put together."""

from __future__ import annotations

from flowjob.cli import savepoint_commands
from flowjob.cli.commands import app
from flowjob.cli.steering import commands as steering_commands

savepoint_commands.register(app)
steering_commands.register(app)

__all__ = ["app"]
