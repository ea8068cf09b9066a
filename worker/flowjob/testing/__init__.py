"""The testing kit shipped to users: scripted inputs, virtual time, whole jobs in one process, conformance suites."""

from flowjob.testing.conformance import check_sink, check_source
from flowjob.testing.results import OutputRows, TestOutput
from flowjob.testing.run import run, run_job
from flowjob.testing.script import advance, at, watermark
from flowjob.testing.sink_conformance import check_exactly_once_sink
from flowjob.testing.state_conformance import check_state_backend
from flowjob.testing.store_conformance import check_object_store
from flowjob.testing.virtual_time import Deadlock, MockClock, run_virtually

__all__ = [
    "Deadlock",
    "MockClock",
    "OutputRows",
    "TestOutput",
    "advance",
    "at",
    "check_exactly_once_sink",
    "check_object_store",
    "check_sink",
    "check_source",
    "check_state_backend",
    "run",
    "run_job",
    "run_virtually",
    "watermark",
]
