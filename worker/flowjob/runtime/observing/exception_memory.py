"""The failures of a job, newest hundred: what was raised where, and what came of it.

An error is remembered when a slot reports it, and judged when the job machine has decided: it led to a restart, to the
end, or was a symptom of another one. It must not decide that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec.structs

from flowjob.cluster.job_history import ExceptionFacts
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Failed, Lost, Outcome
from flowjob.plan.job_graph import JobGraph
from flowjob.runtime.jobmanager.telling import cause_of
from flowjob.runtime.observing.configuration import without_secrets
from flowjob.runtime.observing.rings import Ring

KEPT = 100
LONGEST = 20_000
"""Characters of a message, and of a traceback."""

MOST_SYMPTOMS = 5
"""In a row: when a process dies, all that were connected to it report that."""

Result = Literal["Restarted", "Ended", "Symptom"]

_KINDS: dict[ErrorKind, Literal["User", "Engine", "Refused", "Lost"]] = {
    ErrorKind.USER: "User", ErrorKind.CONNECTION: "Lost", ErrorKind.REFUSED: "Refused", ErrorKind.ENGINE: "Engine",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class At:
    """Where and when. `time`: RFC 3339."""

    time: str
    attempt: int = 0
    slot: int | None = None
    task_manager: str | None = None


class ExceptionMemory:
    """`added` is called with each one that is new."""

    def __init__(self, added: Callable[[ExceptionFacts], None]) -> None:
        self._added = added
        self._ring: Ring[ExceptionFacts] = Ring(KEPT)
        self._reported: dict[int, tuple[ErrorInfo, int]] = {}
        self._symptoms = 0

    @property
    def count(self) -> int:
        """Symptoms included."""
        return self._ring.last

    @property
    def dropped(self) -> int:
        return self._ring.dropped

    def newest_first(self) -> list[ExceptionFacts]:
        return [facts for _, facts in self._ring.newest_first()]

    def reported(self, error: ErrorInfo, at: At, graph: JobGraph) -> None:
        """By a slot. A symptom, until `judged` says otherwise."""
        is_symptom = error.kind is ErrorKind.CONNECTION
        self._symptoms = self._symptoms + 1 if is_symptom else 0
        if self._symptoms > MOST_SYMPTOMS:
            return
        number = self._add(of_error(error, "", at, graph))
        self._reported[id(error)] = error, number  # kept, so that no other one gets its id
        if len(self._reported) > KEPT:
            del self._reported[next(iter(self._reported))]

    def judged(self, outcome: Outcome, result: Result, at: At, graph: JobGraph) -> None:
        """What the job machine takes for the cause of a restart, or of the end."""
        match outcome:
            case Failed(error, where):
                known = self._reported.pop(id(error), None)
                facts = of_error(error, where, at, graph)
                if known is not None:
                    self._judge(known[1], result, facts.text)
                    return
            case Lost(message, _):
                text = cause_of(outcome)
                facts = ExceptionFacts(
                    sequence=0, at=at.time, kind="Lost", text=text, message=_cut(message), attempt=at.attempt,
                    slot=at.slot, task_manager=at.task_manager, result=result,
                )  # fmt: skip
            case _:
                return
        self._symptoms = 0
        self._add(msgspec.structs.replace(facts, result=result))

    def _judge(self, number: int, result: Result, text: str) -> None:
        for found, facts in self._ring.behind(number - 1):
            if found == number:
                self._ring.replace(number, msgspec.structs.replace(facts, result=result, text=text))
            return

    def _add(self, facts: ExceptionFacts) -> int:
        facts = msgspec.structs.replace(facts, sequence=self._ring.last + 1)
        self._added(facts)
        return self._ring.add(facts)


def of_error(error: ErrorInfo, where: str, at: At, graph: JobGraph) -> ExceptionFacts:
    """Where it happened, as far as the error says."""
    vertices = [v.id for v in graph.vertices if any(n.name == error.operator for n in v.nodes)]
    return ExceptionFacts(
        sequence=0,
        at=at.time,
        kind=_KINDS[error.kind],
        code=error.code,
        text=cause_of(Failed(error, where or "a worker")),
        message=_cut(error.message),
        traceback=_cut(error.traceback),
        operator=error.operator,
        vertex=vertices[0] if len(vertices) == 1 else None,
        subtask=error.subtask,
        row=None if error.row is None else _cut(error.row),
        attempt=at.attempt,
        slot=at.slot,
        task_manager=at.task_manager,
        result="Symptom",
    )


def _cut(text: str) -> str:
    text = without_secrets(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
