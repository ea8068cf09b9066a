"""The testing kit shipped to users: scripted inputs, virtual time, whole jobs in one process, conformance suites."""

from flowjob.testing.results import OutputRows, TestOutput
from flowjob.testing.run import run, run_job
from flowjob.testing.script import advance, at, watermark
from flowjob.testing.virtual_time import MockClock

__all__ = ["MockClock", "OutputRows", "TestOutput", "advance", "at", "run", "run_job", "watermark"]
