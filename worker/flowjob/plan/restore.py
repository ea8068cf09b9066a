"""Holds a snapshot against a program: which operator's state goes where, what starts empty, what would be lost.

Pure, and before anything is started: a manifest and a job graph in, a plan to print or a refusal that lists everything
out. Operators are matched by uid, which `.named` pins. Moving the state is runtime/checkpoint/restoring.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from flowjob.errors import StateMismatch
from flowjob.plan.job_graph import ChainNode, JobGraph
from flowjob.plan.state_changes import changes
from flowjob.plan.state_layout import layout_of
from flowjob.plan.stored_layout import StateLayout
from flowjob.plan.stored_state import STATE_PREFIX

if TYPE_CHECKING:
    from flowjob.runtime.checkpoint.manifest import Manifest, OperatorState


class Fate(Enum):
    """What becomes of an operator."""

    RESTORED = "restored"
    NEW = "new"  # not in the snapshot: starts empty
    GONE = "gone"  # not in the program, and had no state
    DROPPED = "dropped"  # not in the program: its state is left behind, as was allowed


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A named part of an operator's state, all its subtasks together: `state:count`, `timers`, …"""

    section: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """details  what else there is to say, in lines
    before   subtasks in the snapshot; 0: it is not in it
    after    subtasks in the program; 0: it is not in it
    parts    of its state in the snapshot
    against  why the state cannot be taken over, or is not; sentences
    """

    uid: str
    name: str
    fate: Fate
    summary: str
    details: tuple[str, ...] = ()
    before: int = 0
    after: int = 0
    parts: tuple[StoredPart, ...] = ()
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a start from the snapshot would do. `lines` are for people, before it is done."""

    title: str
    operators: tuple[OperatorPlan, ...]

    @property
    def lines(self) -> list[str]:
        found = [self.title]
        for operator in self.operators:
            label = operator.name if operator.name == operator.uid else _label(operator)
            found.append(f"  {operator.fate.value:<9} {label}: {operator.summary}")
            found += [f"            {detail}" for detail in operator.details]
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines)


_AGAIN = "a source that takes its place begins anew, and what was read counts twice"


def _label(operator: OperatorPlan) -> str:
    return f"{operator.name} (`{operator.uid}`)"


@dataclass(slots=True)
class _Stored:
    """An operator as the snapshot has it, all its subtasks together."""

    uid: str
    name: str
    kind: str
    subtasks: int = 0
    pending: int = 0
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    layout: StateLayout | None = None

    def add(self, state: OperatorState) -> None:
        self.subtasks += 1
        self.pending += len(state.committables)
        if self.kind == "sink":
            return  # its rows say once more what is pending, or was before it was published
        for part in state.parts:
            same = part.distribution == "broadcast" and part.section in self.rows
            self.rows[part.section] += 0 if same else part.rows
            self.bytes[part.section] += part.length

    @property
    def parts(self) -> tuple[StoredPart, ...]:
        return tuple(StoredPart(name, rows, self.bytes[name]) for name, rows in self.rows.items())

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan, also where it is refused: `problem` has every reason then, for people."""

    plan: RestorePlan
    problem: str | None


def plan_restore(
    graph: JobGraph, manifest: Manifest, *, allow_non_restored: bool = False
) -> RestorePlan:
    """The plan for starting `graph` from the snapshot.

    Raises StateMismatch with every reason against it. `allow_non_restored` lets state go that has no place in the
    program any more, but never results that a sink has prepared and not yet made visible."""
    judged = judge_restore(graph, manifest, allow_non_restored=allow_non_restored)
    if judged.problem is not None:
        raise StateMismatch(judged.problem)
    return judged.plan


def judge_restore(
    graph: JobGraph, manifest: Manifest, *, allow_non_restored: bool = False
) -> Judged:
    """The same for those who want to see the plan whatever speaks against it."""
    stored = _stored(manifest)
    nodes = {n.uid: (n, v.parallelism) for v in graph.vertices for n in v.nodes if n.uid}
    refused = list(_of_the_whole(graph, manifest))
    lost: list[str] = []
    planned = []
    for uid, (node, parallelism) in nodes.items():
        if uid not in stored:
            planned.append(
                OperatorPlan(uid, node.name, Fate.NEW, "starts empty", after=parallelism)
            )
            continue
        planned.append(_restored(stored[uid], node, parallelism, refused, lost))
    for uid, operator in stored.items():
        if uid not in nodes:
            planned.append(
                _left_behind(operator, list(_alike(operator, stored, nodes)), refused, lost)
            )
    plan = RestorePlan(_title(manifest, stored), tuple(planned))
    if refused or (lost and not allow_non_restored):
        return Judged(plan, _refusal(manifest, refused, [] if allow_non_restored else lost))
    return Judged(plan, None)


def _stored(manifest: Manifest) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for task in manifest.tasks:
        for state in task.operators:
            operator = found.setdefault(state.uid, _Stored(state.uid, state.name, state.kind))
            operator.add(state)
    for layout in manifest.operators:
        operator = found.setdefault(layout.uid, _Stored(layout.uid, layout.name, layout.kind))
        operator.layout = layout
    return found


def _of_the_whole(graph: JobGraph, manifest: Manifest) -> Iterator[str]:
    if graph.max_parallelism != manifest.max_parallelism:
        yield (
            f"it was written with max_parallelism {manifest.max_parallelism}, which can't change, and the job has "
            f"{graph.max_parallelism}: say `fj.Job(…, max_parallelism={manifest.max_parallelism})`"
        )
    heads = {vertex.nodes[0].uid for vertex in graph.vertices}
    if any(e.meta.get("operator") not in heads for t in manifest.tasks for e in t.in_flight):
        yield (
            "it is an unaligned checkpoint and holds rows on their way between tasks, which are other tasks now: start "
            "the old program from it, take a savepoint, and start the new one from that"
        )


def _restored(
    old: _Stored, node: ChainNode, parallelism: int, refused: list[str], lost: list[str]
) -> OperatorPlan:
    """Adds to `refused` what speaks against it, and to `lost` what has no place any more."""
    new = layout_of(node)
    before = old.layout or msgspec.structs.replace(new, kind=old.kind)
    details, against = [], []
    for change in changes(before, new, node.spec):
        rows = old.rows.get(change.lost, 0) if change.lost else 0
        if change.lost and rows:
            hint = _renamed(before, new, change.lost)
            lost.append(f"`{node.name}`: {change.text}, and {_count(rows)} would be lost{hint}")
            details.append(f"{change.text}: {_count(rows)} left behind")
        elif change.allowed or change.lost:
            details.append(change.text)
        else:
            refused.append(f"`{node.name}`: {change.text}{_advice(node, change.text)}")
            against.append(change.text)
    scale = "" if old.subtasks == parallelism else f", {old.subtasks} -> {parallelism} subtasks"
    pending = f", {_results(old.pending)} to be made visible first" if old.pending else ""
    summary = f"{_count(old.total)} of state{scale}{pending}"
    return OperatorPlan(
        old.uid, node.name, Fate.RESTORED, summary, tuple(details),
        before=old.subtasks, after=parallelism, parts=old.parts, against=tuple(against),
    )  # fmt: skip


def _renamed(old: StateLayout, new: StateLayout, lost: str) -> str:
    """States are found by their names."""
    alike = [
        f"`{name.removeprefix(STATE_PREFIX)}`"
        for name, section in new.sections.items()
        if name not in old.sections and section == old.sections[lost]
    ]
    was = lost.removeprefix(STATE_PREFIX)
    return f". If it is {' or '.join(alike)} now, call it `{was}` again" if alike else ""


def _advice(node: ChainNode, text: str) -> str:
    if "give it a default" in text:
        return ""
    return f'. To start it empty, give it another name than "{node.uid}"'


def _left_behind(
    old: _Stored, alike: list[str], refused: list[str], lost: list[str]
) -> OperatorPlan:
    label = f"`{old.name}`" if old.name == old.uid else f"`{old.name}` (`{old.uid}`)"
    said = f'name="{old.uid}"` in its `write' if old.kind == "sink" else f'.named("{old.uid}")'
    hint = f". If it is {' or '.join(alike)} now, say `{said}` there" if alike else ""
    if old.pending:
        refused.append(
            f"{label} is not in the program, and has {_results(old.pending)} written but not yet visible: they "
            f"would never be{hint}. Else start the old program from it, and then the new one from a savepoint that is "
            "taken while that runs (`flowjob savepoint take`): nothing is pending in those"
        )
    elif old.total:
        would = f"{_count(old.total)} would be lost"
        if old.kind == "source":
            would = f"how far it was read would be lost: {_AGAIN}"
        lost.append(f"{label} is not in the program, and {would}{hint}")
    if not old.total and not old.pending:
        return OperatorPlan(old.uid, old.name, Fate.GONE, "it had no state", before=old.subtasks)
    left = f"{_count(old.total)} of state left behind"
    if old.kind == "source":
        left = f"how far it was read is left behind: {_AGAIN}"
    against = (f"{_results(old.pending)} written but not yet visible",) if old.pending else ()
    return OperatorPlan(
        old.uid, old.name, Fate.DROPPED, left, before=old.subtasks, parts=old.parts, against=against
    )


def _alike(
    old: _Stored, stored: dict[str, _Stored], nodes: dict[str, tuple[ChainNode, int]]
) -> Iterator[str]:
    """New operators that could take over the state; only those that are called the same, if there are such."""
    found = []
    for uid, (node, _) in nodes.items():
        new = layout_of(node)
        facts = new.facts if old.layout is None else old.layout.facts
        if uid not in stored and new.kind == old.kind and new.facts == facts:
            found.append(node.name)
    for name in [old.name] if old.name in found else found:
        yield f"`{name}`"


def _refusal(manifest: Manifest, refused: list[str], lost: list[str]) -> str:
    lines = [f"the job cannot start from {_what(manifest)}:"]
    lines += [f"  - {reason}" for reason in [*refused, *lost]]
    if lost:
        also = " (what else is listed has to be changed first)" if refused else ""
        lines.append(f"To give up the state that would be lost: --allow-non-restored{also}")
    return "\n".join(lines)


def _title(manifest: Manifest, stored: dict[str, _Stored]) -> str:
    taken = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=manifest.created)
    rows = _count(sum(operator.total for operator in stored.values()))
    return f"starts from {_what(manifest)}, taken {taken:%Y-%m-%d %H:%M:%S} UTC, {rows} of state{_ended(manifest)}"


def _ended(manifest: Manifest) -> str:
    """What surprises those who continue a run that had come to its end."""
    if manifest.drained:
        return "; the job was drained: all windows had fired, and what comes now is late for them"
    if manifest.tasks and all(task.ended for task in manifest.tasks):
        return "; its input had ended: all windows had fired, and what comes now is late for them"
    return ""


def _what(manifest: Manifest) -> str:
    return f"{manifest.kind} {manifest.id} of job {manifest.job}"


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _results(pending: int) -> str:
    return "1 result" if pending == 1 else f"{pending:,} results"
