"""The flowjob command."""
