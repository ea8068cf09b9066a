"""Everything that jobs are made of is in some golden job, and so every new part must be put into one: operators,
aggregates, windows, triggers, sorts of state, sources, sinks; examples, Nexmark queries, programs of other tests."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import flowjob
from bench import nexmark_queries
from flowjob import aggregates, functions, state, triggers, windows
from flowjob.connectors.base import Sink, Source
from flowjob.plan import compile_plan
from flowjob.plan.logical import LogicalNode
from flowjob.plan.specs import OperatorSpec
from flowjob.state import declared_states
from tests.corpus import programs as corpus
from tests.golden.golden import golden_jobs
from tests.golden.jobs.given import examples
from tests.golden.recovering import a_directory
from tests.runtime.test_task_restarts import PROGRAMS

OUTSIDE = {
    "SocketSource": "a socket cannot be read again: what was lost on the way is lost (docs/guarantees.md)",
    "SocketSink": "whoever listens may see rows twice",
    "DiscardSink": "nobody sees what it was given",
    "ScriptedSource": "of single tests, whose steps are times of the wall clock",
}
"""Parts that no golden job can have, and why."""

HIDDEN = {"UnionSpec", "_Builtin", "_Timed", "RowFunction"}
"""Bases and parts that plans do without: a union is its consumer's inputs."""


@cache
def nodes() -> list[LogicalNode]:
    """Of the plans of all golden jobs, where something is parallel, before and after all rules."""
    found: list[LogicalNode] = []
    for golden in golden_jobs().values():
        with a_directory(golden) as directory:
            job = golden.build(directory)
            found += [*job.graph, *compile_plan(job, parallelism=2).optimised]
            golden.bury(directory)
    return found


def below(base: type[Any]) -> Iterator[type[Any]]:
    """All classes of flowjob that are made of `base`, those that are only bases left out."""
    for module in pkgutil.walk_packages(flowjob.__path__, "flowjob."):
        if not module.name.startswith(("flowjob.testing", "flowjob.cli", "flowjob.kernels")):
            importlib.import_module(module.name)
    waiting = list(base.__subclasses__())
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found.__module__.startswith("flowjob.") and ".testing." not in found.__module__:
            yield found


def left_out(base: type[Any], used: set[type[Any]]) -> set[str]:
    """Names of the parts that no job has. A part of which there are special sorts counts as one of them."""
    return {
        part.__name__
        for part in below(base)
        if part.__name__ not in {*OUTSIDE, *HIDDEN} and not any(issubclass(u, part) for u in used)
    }


def specs() -> list[Any]:
    return [node.spec for node in nodes()]


def test_every_operator_is_in_a_golden_job() -> None:
    assert left_out(OperatorSpec, {type(spec) for spec in specs()}) == set()


def test_every_aggregate_is_in_a_golden_job() -> None:
    calls = [call.aggregate for spec in specs() for call in getattr(spec, "calls", ())]
    assert left_out(aggregates.Aggregation, {type(call) for call in calls}) == set()
    mine = [call for call in calls if not type(call).__module__.startswith("flowjob.")]
    assert mine, "an aggregate of the user's own"


def test_every_window_and_trigger_is_in_a_golden_job() -> None:
    assigners = [spec.assigner for spec in specs() if hasattr(spec, "assigner")]
    assert left_out(windows.WindowAssigner, {type(a) for a in assigners}) == set()
    assert {a.time for a in assigners} == set(windows.TimeDomain)
    used = [t for spec in specs() if (t := getattr(spec, "trigger", None)) is not None]
    used += [triggers.default_trigger(a) for a in assigners]
    used += [t.inner for t in used if isinstance(t, triggers.PurgingTrigger)]
    assert left_out(triggers.Trigger, {type(t) for t in used}) == set()


def test_every_sort_of_function_and_state_is_in_a_golden_job() -> None:
    used = [
        spec.function
        for spec in specs()
        if isinstance(getattr(spec, "function", None), functions.RowFunction)
    ]
    assert left_out(functions.RowFunction, {type(f) for f in used}) == set()
    declared = {type(s) for f in used for s in declared_states(f).values()}
    assert left_out(state.State, declared) == set()


def test_every_source_and_sink_is_in_a_golden_job() -> None:
    sources = {type(spec.source) for spec in specs() if hasattr(spec, "source")}
    assert left_out(Source, sources) == set()
    sinks = {type(spec.sink) for spec in specs() if hasattr(spec, "sink")}
    assert left_out(Sink, sinks) == set()


def test_what_is_outside_is_there() -> None:
    known = {part.__name__ for base in (Source, Sink) for part in below(base)}
    assert set(OUTSIDE) - {"ScriptedSource"} <= known


def test_every_example_query_and_program_of_other_tests_is_a_golden_job() -> None:
    named = {f"example_{path.stem}" for path in examples()}
    named |= {name for name in vars(nexmark_queries) if name[0] == "q" and name[1:].isdigit()}
    named |= {f"corpus_{name}" for name in corpus.PROGRAMS}
    named |= {f"restarts_{name}" for name in PROGRAMS}
    assert named <= set(golden_jobs())
    assert len(named) > 20


def test_every_module_of_golden_jobs_is_read() -> None:
    from tests.golden import jobs

    own = {path.stem for path in Path(jobs.__path__[0]).glob("*.py")} - {"__init__", "rows"}
    names = set(golden_jobs())
    for module in own:
        found = importlib.import_module(f"tests.golden.jobs.{module}").JOBS
        assert {job.name for job in found} <= names
