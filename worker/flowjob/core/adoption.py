"""A new JobManager meets tasks of an old one: which regions go on as they are, which are started again.

Pure: what TaskManagers report in, verdicts out. A region goes on only when every task of it is there, once, in one
attempt and running the plan that the new JobManager has; anything else is a restart, which is always safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowjob.core.job_events import TaskId


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A task as its slot knows it.

    attempt   of its region
    barrier   the highest snapshot id it has seen, 0 for none
    running   False: not connected or deployed completely, or failed
    splits    for a source: ids of the splits it owns and has not finished
    """

    task: TaskId
    attempt: int
    barrier: int = 0
    running: bool = True
    ended: bool = False
    splits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotReport:
    """One slot of one TaskManager. `digest`: of the plan it runs; `generation`: of the JobManager it heard last."""

    taskmanager: str
    slot: int
    digest: str
    generation: int
    tasks: tuple[TaskReport, ...]


@dataclass(frozen=True, slots=True)
class RegionShape:
    """What the new JobManager wants to run. `attempt`: the newest it knows of, 0 if it knows nothing."""

    region: int
    tasks: frozenset[TaskId]
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Adopt:
    """Goes on. `owned`: splits by source task, for enumerators to be rebuilt from. `ended`: tasks that only wait."""

    region: int
    attempt: int
    slots: tuple[tuple[str, int], ...]
    owned: Mapping[TaskId, tuple[str, ...]]
    ended: frozenset[TaskId]


@dataclass(frozen=True, slots=True)
class Restart:
    """Starts again, as attempt number `attempt`: above any that was reported. `slots` are what has to be stopped
    first."""

    region: int
    attempt: int
    reason: str
    slots: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Adoption:
    """In order of regions. All snapshots under way are to be aborted, up to and including `highest`; the next id is
    above it."""

    verdicts: tuple[Adopt | Restart, ...]
    highest: int


def adopt(
    regions: Iterable[RegionShape],
    reports: Iterable[SlotReport],
    *,
    digest: str,
    generation: int,
    highest: int,
) -> Adoption:
    """`digest` of the plan wanted, `generation` of the new JobManager, `highest` snapshot id the log knows.

    A slot that has heard of a later JobManager than this one does not count: it obeys somebody else."""
    reports = list(reports)
    mine = [r for r in reports if r.generation <= generation]
    seen = max((t.barrier for r in reports for t in r.tasks), default=0)
    verdicts = tuple(_judge(region, mine, digest) for region in regions)
    return Adoption(_without_double_splits(verdicts), max(seen, highest))


def _judge(region: RegionShape, reports: list[SlotReport], digest: str) -> Adopt | Restart:
    theirs = [r for r in reports if any(t.task in region.tasks for t in r.tasks)]
    tasks = [t for r in theirs for t in r.tasks if t.task in region.tasks]
    slots = tuple(sorted({(r.taskmanager, r.slot) for r in theirs}))
    newest = max([region.attempt, *(t.attempt for t in tasks)])
    reason = _why_not(region, theirs, tasks, digest)
    if reason is not None:
        return Restart(region.region, newest + 1, reason, slots)
    owned = {t.task: t.splits for t in tasks if t.splits}
    return Adopt(region.region, newest, slots, owned, frozenset(t.task for t in tasks if t.ended))


def _why_not(
    region: RegionShape, reports: list[SlotReport], tasks: list[TaskReport], digest: str
) -> str | None:
    if not tasks:
        return "none of its tasks is running"
    other = sorted({f"slot {r.slot} of {r.taskmanager}" for r in reports if r.digest != digest})
    if other:
        return f"another plan runs in {', '.join(other)}"
    if strange := [r for r in reports if any(t.task not in region.tasks for t in r.tasks)]:
        return f"slot {strange[0].slot} of {strange[0].taskmanager} has tasks of several regions"
    counts = Counter(t.task for t in tasks)
    if missing := region.tasks - counts.keys():
        return f"not reported: {_names(missing)}"
    if double := [t for t, n in counts.items() if n > 1]:
        return f"reported more than once: {_names(double)}"
    attempts = sorted({t.attempt for t in tasks})
    if len(attempts) > 1 or attempts[0] < region.attempt:
        newest = max(*attempts, region.attempt)
        old = [t.task for t in tasks if t.attempt < newest]
        return f"left over from an earlier attempt than {newest}: {_names(old)}"
    if broken := [t.task for t in tasks if not t.running]:
        return f"not running: {_names(broken)}"
    splits = Counter((t.task.vertex, s) for t in tasks for s in t.splits)
    if twice := sorted(s for (_, s), n in splits.items() if n > 1):
        return f"splits with two owners: {', '.join(twice[:3])}"
    return None


def _without_double_splits(verdicts: tuple[Adopt | Restart, ...]) -> tuple[Adopt | Restart, ...]:
    """A source whose subtasks are in several regions may own a split in two of them; both start again."""
    adopted = [v for v in verdicts if isinstance(v, Adopt)]
    owners = Counter(o for v in adopted for o in _splits(v))
    return tuple(
        Restart(v.region, v.attempt + 1, "splits are owned by another region, too", v.slots)
        if isinstance(v, Adopt) and any(owners[o] > 1 for o in _splits(v))
        else v
        for v in verdicts
    )


def _splits(adopted: Adopt) -> list[tuple[int, str]]:
    return [(task.vertex, s) for task, splits in adopted.owned.items() for s in splits]


def _names(tasks: Iterable[TaskId]) -> str:
    return ", ".join(f"{t.vertex}/{t.subtask}" for t in sorted(tasks)) + " (vertex/subtask)"
