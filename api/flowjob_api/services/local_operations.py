"""What was asked of a local job, and what has become of it: in bounded memory, as long as this process lives.

An Idempotency-Key makes the operation's id: a second request under it is the same operation, if it says the same."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from flowjob.cluster.control_api import OperationView
from flowjob.cluster.job_details import DetailsError, JobFacts, LiveJob
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused
from flowjob_api.schemas.actions import ResumeWish, ScaleWish, UpgradeWish
from flowjob_api.schemas.operations import (
    JobRef,
    Operation,
    OperationError,
    OperationKind,
    OperationResult,
    Progress,
)
from flowjob_api.services.jobs import Asked, Ref
from flowjob_api.services.local_facts import OVER, etag_of, snapshot_of
from flowjob_api.services.local_wishes import request_of

REMEMBERED: Final = 200
STEPS: Final = {
    "Savepoint": "takes a savepoint", "Stop": "stops with a savepoint", "Suspend": "stops with a savepoint",
    "Scale": "takes a checkpoint, and starts all tasks anew", "Cancel": "stops", "Restart": "starts all tasks anew",
    "Upgrade": "tries the program, stops with a savepoint, and starts anew from it",
    "Restore": "stops, and starts anew from the snapshot",
    "Resume": "starts from the savepoint", "VerifySnapshot": "reads it", "DeleteSnapshot": "deletes it",
}  # fmt: skip


@dataclass(slots=True)
class _Known:
    kind: OperationKind
    ref: Ref
    words: str
    """Of the request: another one under the same key is refused"""
    started: str
    parallelism: int | None = None
    view: OperationView | None = None
    ended: str | None = None


class LocalOperations:
    """Of one job."""

    def __init__(self, live: LiveJob, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self.asked = 0

    async def begin(self, ref: Ref, facts: JobFacts, asked: Asked) -> Operation:
        """Raises Refused."""
        id = _id_of(asked.key)
        words = f"{asked.kind} {asked.snapshot} {asked.wish.model_dump_json()}"
        if (known := self._known.get(id)) is not None:
            if known.words != words:
                raise Refused("KEY_REUSED", "another request was made under that Idempotency-Key")
            return await self.look(id)
        _check_version(asked.if_match, etag_of(facts, self.asked))
        check_possible(asked.kind, facts, rests=self._live.rests)
        request = request_of(asked, id, facts)
        parallelism = None
        if isinstance(asked.wish, ScaleWish | ResumeWish | UpgradeWish):
            parallelism = asked.wish.parallelism
        self._known[id] = _Known(asked.kind, ref, words, self._now(), parallelism)
        try:
            self._known[id].view = await self._live.operations.ask(id, request)
        except DetailsError:
            del self._known[id]
            raise
        self.asked += 1
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._operation(id, self._known[id])

    async def look(self, id: str) -> Operation:
        """Raises Refused: NOT_FOUND."""
        known = self._known.get(id)
        if known is None:
            raise Refused("NOT_FOUND", f"there is no operation {id[:100]} here")
        if known.view is None or known.view.state == "UnderWay":
            known.view = await self._live.operations.look(id)
        return self._operation(id, known)

    def current(self) -> Operation | None:
        """The last one that is not over, as it was last seen."""
        for id, known in reversed(self._known.items()):
            if known.view is not None and known.view.state == "UnderWay":
                return self._operation(id, known)
        return None

    def _operation(self, id: str, known: _Known) -> Operation:
        view = known.view
        state: Literal["Running", "Done", "Failed"] = "Running"
        if view is not None and view.state != "UnderWay":
            state = "Done" if view.state == "Done" else "Failed"
            known.ended = known.ended or self._now()
        error = None
        if view is not None and state == "Failed":
            error = OperationError(
                code=view.error_code or "FAILED", message=view.error or "it failed"
            )
        result = None
        if view is not None and state == "Done":
            snapshot = None if view.snapshot is None else snapshot_of(view.snapshot)
            result = OperationResult(snapshot=snapshot, parallelism=known.parallelism)
        return Operation(
            id=id,
            kind=known.kind,
            job=JobRef(namespace=known.ref.namespace, name=known.ref.name),
            state=state,
            progress=Progress(
                share=1.0 if state == "Done" else None,
                step="" if state != "Running" else STEPS.get(known.kind, ""),
            ),
            started_at=known.started,
            ended_at=known.ended,
            error=error,
            result=result,
        )

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")


def _id_of(key: str | None) -> str:
    if key is None:
        return os.urandom(12).hex()
    return "k" + hashlib.sha256(key.encode()).hexdigest()[:32]


def _check_version(if_match: str | None, etag: str) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    if f'"{etag}"' not in {part.strip() for part in if_match.split(",")}:
        raise Refused("PRECONDITION_FAILED", "the job has changed since: look again, and ask again")


def check_possible(kind: OperationKind, facts: JobFacts, *, rests: bool) -> None:
    """Whether that can be asked of the job now. Raises Refused: NOT_NOW."""
    state = facts.view.state.lower()
    if rests:
        if kind not in _OF_RESTING:
            raise Refused("NOT_NOW", f"the job is suspended: resume it first ({_RESUME})")
    elif facts.view.state in OVER:
        raise Refused("NOT_NOW", f"the job is over: {state}. Start it again with {_AGAIN}")
    elif kind == "Resume":
        raise Refused(
            "NOT_NOW", f"the job is {state}, and not suspended: there is nothing to resume"
        )


_OF_RESTING: Final = frozenset(
    {
        "Resume",
        "Restore",
        "Upgrade",
        "Cancel",
        "Stop",
        "Suspend",
        "VerifySnapshot",
        "DeleteSnapshot",
    }
)
_RESUME: Final = "`flowjob resume`, also with another parallelism"
_AGAIN: Final = "`flowjob run … --from latest`"
