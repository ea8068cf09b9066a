"""What people have asked for and is not triggered yet, in order; and the one stop that is.

Answers are made here, so that each request gets exactly one. It must not know when anything is triggered."""

from __future__ import annotations

from flowjob.core.coordinator_events import Answer, CheckpointRequested, Kind, SavepointRequested
from flowjob.core.elements import Stop

Request = CheckpointRequested | SavepointRequested


def kind_of(request: Request) -> Kind:
    """What has to be taken to fulfil it."""
    if isinstance(request, CheckpointRequested):
        return Kind.CHECKPOINT
    return Kind.SAVEPOINT if request.stop is Stop.NO else Kind.STOP


def too_late(event: object) -> list[Answer]:
    """What came after the end: nobody may wait for an answer for ever."""
    if isinstance(event, CheckpointRequested | SavepointRequested):
        return [Answer(event.request, failure="the job is over")]
    return []


class SnapshotRequests:
    """stop         triggered and not answered: after it nothing else is taken
    stop_stored  its snapshot; the job ends with that, whatever happens
    interrupted  tasks have failed since, and run again
    """

    def __init__(self) -> None:
        self.stop: SavepointRequested | None = None
        self.stop_stored: int | None = None
        self.interrupted = False
        self._queue: list[Request] = []

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, request: Request) -> None:
        self._queue.append(request)

    def first(self) -> Request:
        return self._queue[0]

    def knows(self, request: str) -> bool:
        """Whether it is in the queue, or is the stop."""
        known = {r.request for r in self._queue}
        return request in known or (self.stop is not None and self.stop.request == request)

    def take(self) -> list[Answer]:
        """The first one is being triggered. A stop leaves no room for the others."""
        request = self._queue.pop(0)
        if kind_of(request) is not Kind.STOP or not isinstance(request, SavepointRequested):
            return []
        self.stop = request
        return self.refuse(f"the job is being stopped with savepoint {request.savepoint}")

    @property
    def stopping(self) -> str | None:
        """Why nothing else can be had, once a stop is triggered and has not failed."""
        if self.stop is not None:
            return f"the job is being stopped with savepoint {self.stop.savepoint}"
        return "the job is being stopped" if self.stop_stored is not None else None

    def refuse(self, reason: str) -> list[Answer]:
        """Everything in the queue."""
        queue, self._queue = self._queue, []
        return [Answer(r.request, failure=reason) for r in queue]

    def stop_failed(self) -> None:
        """Its snapshot has come to nothing, and its request was answered with that."""
        self.stop = None

    def stop_is_stored(self, checkpoint: int, *, interrupted: bool) -> None:
        self.stop_stored, self.interrupted = checkpoint, interrupted

    def tasks_failed(self) -> None:
        self.interrupted = self.interrupted or self.stop_stored is not None

    def answer_stop(self, failure: str | None = None) -> list[Answer]:
        """To who asked for the stop, once it is stored: the job has ended by it, or why not."""
        stop = self.stop
        if stop is None or self.stop_stored is None:
            return []
        self.stop = None
        return [Answer(stop.request, self.stop_stored, stop.savepoint, failure)]
