"""Who follows a job, its log, or the list: what they are sent, and whether they still may be.

A follower asks again as often as it wants to know, or as soon as something has happened; the answers are shared
(sharing.py). Rights are looked at again every minute. How events travel is event_stream.py's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header, Request
from fastapi.responses import Response

from flowjob.cluster.job_details import Changes, DetailsError, JobDetails, LogQuery
from flowjob_api.answering import body_of, full
from flowjob_api.auth.callers import Caller
from flowjob_api.auth.door import Door
from flowjob_api.clock import Clock
from flowjob_api.event_stream import BEAT, EventStream, event, json_event
from flowjob_api.problems import Refused, of_details
from flowjob_api.schemas.jobs import JobSummary
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.jobs import Jobs, Ref
from flowjob_api.sharing import Sharing

BEAT_EVERY: Final = 15.0
AUTHORISE_EVERY: Final = 60.0
LEAST_PAUSE: Final = 0.25
"""Seconds between two looks, however much happens."""

TOPICS: Final = ("job", "change", "graph", "tasks", "checkpoints", "exceptions", "snapshots")

LAST_EVENT = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=40, description="Of the last event that arrived"),
]


@dataclass(frozen=True, slots=True)
class Followed:
    """A client that follows. `ref` None: the list."""

    request: Request
    caller: Caller
    ref: Ref | None
    last_event: str | None

    @property
    def number(self) -> int | None:
        text = self.last_event or ""
        return int(text) if text.isascii() and text.isdigit() else None


@dataclass(slots=True)
class Following:
    """Of one application. `most` followers at once."""

    jobs: Jobs
    door: Door
    metrics: ServiceMetrics
    clock: Clock
    most: int = 500
    followers: int = 0
    sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self.sharing = Sharing(self.clock)

    def stream(self, events: AsyncIterator[bytes]) -> Response:
        """Raises Refused: BUSY."""
        if self.followers >= self.most:
            raise Refused(
                "BUSY",
                f"{self.most} clients follow already: ask again later, or poll",
                headers={"Retry-After": "30"},
            )
        self.followers += 1
        self.metrics.followers.inc()
        return EventStream(events, self.clock, self._left)

    def _left(self) -> None:
        self.followers -= 1
        self.metrics.followers.dec()


class _Pulse:
    """When a follower was last sent something, and when its rights were last looked at."""

    def __init__(self, following: Following, followed: Followed) -> None:
        self._following = following
        self._followed = followed
        self._beat = self._authorised = following.clock.monotonic()

    def sent(self) -> None:
        self._beat = self._following.clock.monotonic()

    @property
    def is_due(self) -> bool:
        return self._following.clock.monotonic() - self._beat >= BEAT_EVERY

    async def may_stay(self) -> bool:
        now = self._following.clock.monotonic()
        if now - self._authorised < AUTHORISE_EVERY:
            return True
        self._authorised = now
        caller, ref = self._followed.caller, self._followed.ref
        try:
            if not await self._following.door.still(caller):
                return False
            if ref is not None:
                await self._following.jobs.job(caller, ref)
        except Refused as error:
            return (
                error.code == "UNREACHABLE"
            )  # nobody knows: what was allowed goes on until it is known
        return True


async def following_job(
    following: Following, followed: Followed, topics: tuple[str, ...], every: float
) -> Response:
    assert followed.ref is not None
    return following.stream(_job_events(following, followed, followed.ref, (topics, every)))


async def _job_events(
    following: Following, followed: Followed, ref: Ref, wanted: tuple[tuple[str, ...], float]
) -> AsyncIterator[bytes]:
    topics, every = wanted
    pulse = _Pulse(following, followed)
    last = followed.number
    seen: dict[str, bytes] = {}
    yield b"retry: 3000\n\n"
    while True:
        began = following.clock.monotonic()
        if not await pulse.may_stay():
            yield json_event("expired", {})
            return
        if (
            last is None
        ):  # from where on changes are told: before what is shown, so that none is missed
            begin = await _changes(following, followed.caller, ref, (None, every))
            last = None if begin is None else begin.next
        async for data in _changed_topics(following, followed, (topics, every), seen):
            pulse.sent()
            yield data
        found = None
        if last is not None:
            found = await _changes(following, followed.caller, ref, (last, every))
        if found is not None:
            last = found.next
            following.metrics.dropped.inc(found.missed)
            for change in found.changes if "change" in topics else ():
                pulse.sent()
                yield json_event("change", full(change), str(change.sequence))
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        # What happens often is looked at often, but not in a busy loop; who cannot answer is not asked at once again.
        least = LEAST_PAUSE if found is not None and found.changes else every
        await following.clock.sleep(max(0.0, began + least - following.clock.monotonic()))


async def _changed_topics(
    following: Following,
    followed: Followed,
    wanted: tuple[tuple[str, ...], float],
    seen: dict[str, bytes],
) -> AsyncIterator[bytes]:
    """Those that are not as they were when they were sent last."""
    topics, every = wanted
    assert followed.ref is not None
    for topic in topics:
        if topic != "change":
            body = await _topic(following, followed.caller, followed.ref, (topic, every))
            if body is not None and (mark := blake2b(body[1]).digest()) != seen.get(topic):
                seen[topic] = mark
                yield event(body[0], body[1])


async def _topic(
    following: Following, caller: Caller, ref: Ref, wanted: tuple[str, float]
) -> tuple[str, bytes] | None:
    """The event, or what stands against it. None: that it is not there has been told otherwise."""
    topic, every = wanted

    async def ask() -> bytes:
        if topic == "job":
            return body_of((await following.jobs.job(caller, ref)).job)
        if topic == "snapshots":
            return body_of(await following.jobs.snapshots(caller, ref))
        details = await following.jobs.details(caller, ref)
        answers: dict[str, Callable[[], Awaitable[msgspec.Struct]]] = {
            "graph": details.graph,
            "tasks": details.tasks,
            "checkpoints": details.checkpoints,
            "exceptions": details.exceptions,
        }
        return body_of(await answers[topic]())

    try:
        return topic, await following.sharing.ask((ref, topic), every / 2, ask)
    except (Refused, DetailsError) as error:
        refused = of_details(error) if isinstance(error, DetailsError) else error
        if topic != "job":
            return None
        return "problem", msgspec.json.encode({"code": refused.code, "detail": refused.detail})


async def _changes(
    following: Following, caller: Caller, ref: Ref, wanted: tuple[int | None, float]
) -> Changes | None:
    """Waits for something to happen, as long as a look takes. None: nobody can say."""
    after, every = wanted
    wait = min(every, BEAT_EVERY)

    async def ask() -> Changes:
        details = await following.jobs.details(caller, ref)
        return await details.changes(after=after, wait=0.0 if after is None else wait)

    try:
        found: Changes = await following.sharing.ask((ref, "change", after), 0.0, ask)
    except (Refused, DetailsError):
        return None
    return found


async def following_logs(following: Following, followed: Followed, query: LogQuery) -> Response:
    assert followed.ref is not None
    return following.stream(_log_events(following, followed, followed.ref, query))


async def _log_events(
    following: Following, followed: Followed, ref: Ref, query: LogQuery
) -> AsyncIterator[bytes]:
    pulse = _Pulse(following, followed)
    after = query.after if followed.number is None else followed.number
    yield b"retry: 3000\n\n"
    while True:
        began = following.clock.monotonic()
        if not await pulse.may_stay():
            yield json_event("expired", {})
            return
        wait = 0.0 if after is None else BEAT_EVERY
        asked = msgspec.structs.replace(query, after=after, wait=wait)
        try:
            details: JobDetails = await following.jobs.details(followed.caller, ref, logs=True)
            found = await details.logs(asked)
        except (Refused, DetailsError) as error:
            if isinstance(error, Refused) and error.code != "UNREACHABLE":
                yield json_event("expired", {})
                return
            await following.clock.sleep(2.0)
        else:
            after = found.next
            for line in found.lines:
                pulse.sent()
                yield json_event("line", full(line), str(line.sequence))
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        await following.clock.sleep(max(0.0, began + LEAST_PAUSE - following.clock.monotonic()))


async def following_jobs(
    following: Following, followed: Followed, namespace: str | None, every: float
) -> Response:
    return following.stream(_list_events(following, followed, namespace, every))


async def _list_events(
    following: Following, followed: Followed, namespace: str | None, every: float
) -> AsyncIterator[bytes]:
    pulse = _Pulse(following, followed)
    shown: dict[tuple[str, str], JobSummary] = {}
    version: str | None = None
    yield b"retry: 3000\n\n"
    while True:
        if not await pulse.may_stay():
            yield json_event("expired", {})
            return
        try:
            listed = await following.jobs.jobs(followed.caller, namespace)
        except Refused as error:
            if error.code != "UNREACHABLE":
                yield json_event("expired", {})
                return
        else:
            if listed.version != version:
                version = listed.version
                now = {(job.namespace, job.name): job for job in listed.jobs}
                for data in _differences(shown, now):
                    pulse.sent()
                    yield data
                shown = now
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        await following.clock.sleep(every)


def _differences(
    old: dict[tuple[str, str], JobSummary], new: dict[tuple[str, str], JobSummary]
) -> list[bytes]:
    gone: list[dict[str, Any]] = [
        {"namespace": key[0], "name": key[1]} for key in old if key not in new
    ]
    return [json_event("gone", one) for one in gone] + [
        event("job", body_of(job)) for key, job in new.items() if old.get(key) != job
    ]
