"""Which state moves when a program goes on from a snapshot, as data: operator by operator, with what became of it.

What plan/restore.py finds, for those who ask over the wire: `flowjob preflight`, dry runs of upgrades. Fields are only
ever added. It must not know who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from flowjob.cluster.job_figures import Data

if TYPE_CHECKING:
    from flowjob.plan.restore import OperatorPlan, RestorePlan

Outcome = Literal["Kept", "Redistributed", "Dropped", "New", "Incompatible", "Unknown"]
"""Redistributed: dealt out anew by key group, to another number of subtasks. Dropped: it has no place in the program.
New: it starts empty. Incompatible: the program cannot read it. Unknown: the new program has not been tried yet."""


class StatePart(Data, frozen=True, kw_only=True, rename="camel"):
    """`name` as the program calls it, or the engine: `count`, `timers`, `splits`, …"""

    name: str
    rows: int = 0
    bytes: int = 0


class StateMove(Data, frozen=True, kw_only=True, rename="camel"):
    """What becomes of the state of one operator. `text`: a line for people."""

    operator: str
    uid: str | None = None
    outcome: Outcome
    text: str = ""
    rows: int | None = None
    """In the snapshot; None: nobody has looked"""
    bytes: int | None = None
    subtasks_before: int | None = None
    subtasks_after: int | None = None
    states: list[StatePart] = msgspec.field(default_factory=list)


def moves_of(plan: RestorePlan) -> list[StateMove]:
    """Of every operator of the program that keeps state, and of the snapshot."""
    return [_move_of(operator) for operator in plan.operators]


def _move_of(operator: OperatorPlan) -> StateMove:
    return StateMove(
        operator=operator.name,
        uid=operator.uid,
        outcome=_outcome(operator),
        text="; ".join(operator.against) or operator.summary,
        rows=sum(part.rows for part in operator.parts),
        bytes=sum(part.bytes for part in operator.parts),
        subtasks_before=operator.before,
        subtasks_after=operator.after,
        states=[
            StatePart(name=_name_of(part.section), rows=part.rows, bytes=part.bytes)
            for part in operator.parts
        ],
    )


def _outcome(operator: OperatorPlan) -> Outcome:
    from flowjob.plan.restore import Fate

    match operator.fate:
        case Fate.NEW:
            return "New"
        case Fate.GONE | Fate.DROPPED:
            return "Dropped"
    if operator.against:
        return "Incompatible"
    return "Kept" if operator.before == operator.after else "Redistributed"


def _name_of(section: str) -> str:
    from flowjob.plan.stored_state import STATE_PREFIX

    return section.removeprefix(STATE_PREFIX)
