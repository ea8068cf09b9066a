"""What operators say of themselves that keep rows of their own making: the sections of their state, without a row.

So that a snapshot can be made for a job that has never run, and filled by hand. It must not know snapshots' files."""

from __future__ import annotations

from flowjob.plan.job_graph import ChainNode
from flowjob.plan.specs import RunningAggregateSpec, WindowAggregateSpec, WindowApplySpec
from flowjob.runtime.checkpoint.sections import Section
from flowjob.runtime.env import Env
from flowjob.runtime.operators.base import OperatorContext
from flowjob.runtime.operators.registry import build

_OF_THEIR_OWN = (WindowAggregateSpec, WindowApplySpec, RunningAggregateSpec)


def empty_sections(node: ChainNode, env: Env, max_parallelism: int) -> list[Section]:
    """As the operator would write them before its first row; none for operators whose plan says all columns, or which
    keep nothing that belongs to a key."""
    if not isinstance(node.spec, _OF_THEIR_OWN):
        return []
    operator = build(node.spec)
    operator.open(OperatorContext(env, node.name, node.uid, 0, 1, max_parallelism))
    return list(operator.snapshot())
