"""From a job to its job graph: checks, state identities, parallelism, rules, chains. A pure function.

Every process of a job compiles for itself and compares digests, so nothing here may depend on time, chance or place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from flowjob.errors import PlanError
from flowjob.plan.chaining import chain
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.logical import LogicalGraph, LogicalNode
from flowjob.plan.rules import RULES
from flowjob.plan.specs import SinkSpec, SourceSpec
from flowjob.plan.uids import assign_uids


class Compilable(Protocol):
    """What of a flowjob.Job the planner needs."""

    name: str
    max_parallelism: int

    @property
    def graph(self) -> LogicalGraph: ...


@dataclass(frozen=True)
class Plan:
    """All three stages, for explain."""

    logical: LogicalGraph
    optimised: LogicalGraph
    job_graph: JobGraph


def compile_plan(job: Compilable, *, parallelism: int = 1) -> Plan:
    """Every stage of the plan. Raises PlanError and its kin."""
    if parallelism < 1:
        raise PlanError(f"parallelism must be at least 1, got {parallelism}")
    logical = assign_uids(_checked(job.graph))
    optimised = _with_parallelism(logical, parallelism, job.max_parallelism)
    for rule in RULES:
        optimised = rule(optimised)
    return Plan(logical, optimised, chain(job.name, optimised, job.max_parallelism))


def compile_job(job: Compilable, *, parallelism: int = 1) -> JobGraph:
    """The job graph that is deployed."""
    return compile_plan(job, parallelism=parallelism).job_graph


def _checked(graph: LogicalGraph) -> LogicalGraph:
    if not any(isinstance(node.spec, SinkSpec) for node in graph):
        raise PlanError(
            "the job writes nothing: add `job.write(stream, sink)`, for example with `fj.print_()`"
        )
    needed: set[int] = set()
    for node in graph:
        if isinstance(node.spec, SinkSpec):
            needed |= graph.ancestors(node.id).nodes.keys()
    return LogicalGraph({i: n for i, n in graph.nodes.items() if i in needed})


def _with_parallelism(graph: LogicalGraph, default: int, max_parallelism: int) -> LogicalGraph:
    resolved: dict[int, LogicalNode] = {}
    for node in graph:
        here = default
        if node.follows:
            here = resolved[node.inputs[0].node].parallelism or default
        resolved[node.id] = _resolved(node, here, max_parallelism)
    return LogicalGraph(resolved)


def _resolved(node: LogicalNode, default: int, max_parallelism: int) -> LogicalNode:
    parallelism = node.parallelism or default
    if isinstance(node.spec, SourceSpec):
        parallelism = min(parallelism, node.spec.source.max_parallelism or parallelism)
    if parallelism > max_parallelism:
        raise PlanError(
            f"`{node.name}` has parallelism {parallelism}, above the job's max_parallelism {max_parallelism}; "
            "state cannot be split finer than its key groups. Lower the one, or start the job anew with "
            "`fj.Job(name, max_parallelism=…)`",
            where=node.where,
        )
    return replace(node, parallelism=parallelism)
