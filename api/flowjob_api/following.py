"""Who follows a job, its log, or the list: what they are sent, and whether they still may be.

A follower asks again as often as it wants to know, or as soon as something has happened; the answers are shared
(sharing.py). Rights are looked at again every minute. How events travel is event_stream.py's."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from fastapi import Header, Request
from fastapi.responses import Response

from flowjob.cluster.job_details import DetailsError, JobDetails, LogQuery
from flowjob_api.answering import body_of, full
from flowjob_api.auth.callers import Caller
from flowjob_api.auth.door import Door
from flowjob_api.clock import Clock
from flowjob_api.event_stream import BEAT, EventStream, event, json_event
from flowjob_api.problems import Refused, of_details
from flowjob_api.rows import Row
from flowjob_api.service_metrics import ServiceMetrics
from flowjob_api.services.jobs import Jobs, Ref
from flowjob_api.sharing import Sharing

BEAT_EVERY: Final = 15.0
AUTHORISE_EVERY: Final = 60.0
LEAST_PAUSE: Final = 0.25
"""Seconds between two looks, however much happens."""

TOGETHER: Final = 32 * 1024
"""Bytes of events that are sent at once: more of them than that wait for the client."""

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
    topics: tuple[str, ...] = ()

    @property
    def number(self) -> int | None:
        text = self.last_event or ""
        return int(text) if text.isascii() and text.isdigit() else None


@dataclass(slots=True)
class Following:
    """Of one application. `most` followers at once, of one user `most_each`."""

    jobs: Jobs
    door: Door
    metrics: ServiceMetrics
    clock: Clock
    most: int = 500
    most_each: int = 100
    of_user: Counter[str | None] = field(default_factory=Counter)
    sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self.sharing = Sharing(self.clock, forgotten_after=1.0)

    @property
    def followers(self) -> int:
        return self.of_user.total()

    def stream(self, followed: Followed, events: AsyncIterator[bytes]) -> Response:
        """Raises Refused: BUSY, TOO_MANY."""
        user, later = followed.caller.user, {"Retry-After": "30"}
        if self.followers >= self.most:
            raise Refused(
                "BUSY",
                f"{self.most} clients follow already: ask again later, or poll",
                headers=later,
            )
        if user is not None and self.of_user[user] >= self.most_each:
            raise Refused(
                "TOO_MANY",
                f"{user} follows {self.most_each} times already: close some, or poll",
                headers=later,
            )
        self.of_user[user] += 1
        self.metrics.followers.inc()

        def left() -> None:
            self.of_user[user] -= 1
            self.of_user += Counter()  # without those that are at nothing
            self.metrics.followers.dec()

        return EventStream(events, self.clock, left)

    async def check(self, followed: Followed) -> None:
        """Raises Refused unless they may see what they follow."""
        if followed.ref is not None:
            with_snapshots = "snapshots" in followed.topics
            await self.jobs.check(followed.caller, followed.ref, snapshots=with_snapshots)


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
        try:
            if not await self._following.door.still(self._followed.caller):
                return False
            await self._following.check(self._followed)
        except Refused as error:
            # Nobody knows: what was allowed goes on until it is known.
            return error.code == "UNREACHABLE"
        return True


async def following_job(
    following: Following, followed: Followed, topics: tuple[str, ...], every: float
) -> Response:
    """Raises Refused."""
    ref, followed = followed.ref, replace(followed, topics=topics)
    assert ref is not None
    await following.check(followed)
    return following.stream(followed, _job_events(following, followed, ref, every))


async def _job_events(
    following: Following, followed: Followed, ref: Ref, every: float
) -> AsyncIterator[bytes]:
    pulse = _Pulse(following, followed)
    last = followed.number
    seen: dict[str, bytes] = {}
    yield b"retry: 3000\n\n"
    while True:
        began = following.clock.monotonic()
        if not await pulse.may_stay():
            yield json_event("expired", {})
            return
        if last is None:
            # From where on changes are told: before what is shown, so that none is missed.
            begin = await _changes(following, followed.caller, ref, (None, every))
            last = None if begin is None else begin.next
        async for data in _changed_topics(following, followed, ref, (every, seen)):
            pulse.sent()
            yield data
        found = None
        if last is not None:
            found = await _changes(following, followed.caller, ref, (last, every))
        if found is not None:
            last = found.next
            following.metrics.dropped.inc(found.missed)
            if found.events and "change" in followed.topics:
                pulse.sent()
                yield found.events
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        # What happens often is looked at often, but not in a busy loop; who cannot answer is not asked at once again.
        least = LEAST_PAUSE if found is not None and found.events else every
        await following.clock.sleep(max(0.0, began + least - following.clock.monotonic()))


async def _changed_topics(
    following: Following, followed: Followed, ref: Ref, how: tuple[float, dict[str, bytes]]
) -> AsyncIterator[bytes]:
    """Those that are not as they were when they were sent last."""
    every, seen = how
    for topic in followed.topics:
        if topic != "change":
            found = await _topic(following, followed.caller, ref, (topic, every))
            if found is not None and found[0] != seen.get(topic):
                seen[topic] = found[0]
                yield found[1]


async def _topic(
    following: Following, caller: Caller, ref: Ref, wanted: tuple[str, float]
) -> tuple[bytes, bytes] | None:
    """What tells it from others, and the event, or what stands against it. None: that it is not there has been told
    otherwise."""
    topic, every = wanted

    async def ask() -> tuple[bytes, bytes]:
        if topic == "job":
            body = body_of((await following.jobs.job(caller, ref)).job)
        elif topic == "snapshots":
            body = body_of(await following.jobs.snapshots(caller, ref))
        else:
            details = await following.jobs.details(caller, ref)
            answers: dict[str, Callable[[], Awaitable[msgspec.Struct]]] = {
                "graph": details.graph,
                "tasks": details.tasks,
                "checkpoints": details.checkpoints,
                "exceptions": details.exceptions,
            }
            body = body_of(await answers[topic]())
        return blake2b(body).digest(), event(topic, body)

    try:
        found: tuple[bytes, bytes] = await following.sharing.ask((ref, topic), every / 2, ask)
    except (Refused, DetailsError) as error:
        refused = of_details(error) if isinstance(error, DetailsError) else error
        if topic != "job":
            return None
        data = msgspec.json.encode({"code": refused.code, "detail": refused.detail})
        return blake2b(data).digest(), event("problem", data)
    return found


@dataclass(frozen=True, slots=True)
class _Happened:
    """`events`: as they are sent."""

    events: bytes
    next: int
    missed: int


async def _changes(
    following: Following, caller: Caller, ref: Ref, wanted: tuple[int | None, float]
) -> _Happened | None:
    """Waits for something to happen, as long as a look takes. None: nobody can say."""
    after, every = wanted
    wait = min(every, BEAT_EVERY)

    async def ask() -> _Happened:
        details = await following.jobs.details(caller, ref)
        found = await details.changes(after=after, wait=0.0 if after is None else wait)
        sent = [json_event("change", full(one), str(one.sequence)) for one in found.changes]
        return _Happened(b"".join(sent), found.next, found.missed)

    try:
        found: _Happened = await following.sharing.ask((ref, "change", after), 0.0, ask)
    except (Refused, DetailsError):
        return None
    return found


async def following_logs(following: Following, followed: Followed, query: LogQuery) -> Response:
    """Raises Refused."""
    assert followed.ref is not None
    return following.stream(followed, _log_events(following, followed, followed.ref, query))


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
            # Rights are looked at for each follower, whoever is answered together with them.
            details = await following.jobs.details(followed.caller, ref, logs=True)
            found = await _lines(following, details, (ref, asked))
        except (Refused, DetailsError) as error:
            if isinstance(error, Refused) and error.code != "UNREACHABLE":
                yield json_event("expired", {})
                return
            await following.clock.sleep(2.0)
        else:
            after = found.next
            if found.events:
                pulse.sent()
                yield found.events
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        await following.clock.sleep(max(0.0, began + LEAST_PAUSE - following.clock.monotonic()))


async def _lines(
    following: Following, details: JobDetails, wanted: tuple[Ref, LogQuery]
) -> _Happened:
    """Raises DetailsError."""

    async def ask() -> _Happened:
        found = await details.logs(wanted[1])
        sent = [json_event("line", full(one), str(one.sequence)) for one in found.lines]
        return _Happened(b"".join(sent), found.next, 0)

    key = (wanted[0], msgspec.json.encode(wanted[1]))
    found: _Happened = await following.sharing.ask(key, 0.0, ask)
    return found


async def following_jobs(
    following: Following, followed: Followed, namespace: str | None, every: float
) -> Response:
    """Raises Refused."""
    await following.jobs.jobs(followed.caller, namespace)
    return following.stream(followed, _list_events(following, followed, namespace, every))


async def _list_events(
    following: Following, followed: Followed, namespace: str | None, every: float
) -> AsyncIterator[bytes]:
    pulse = _Pulse(following, followed)
    shown: set[Row] = set()
    version: object = None
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
                for data in _differences(shown, listed.rows):
                    pulse.sent()
                    yield data
                shown = set(listed.rows)
        if pulse.is_due:
            pulse.sent()
            yield BEAT
        await following.clock.sleep(every)


def _differences(shown: set[Row], rows: Sequence[Row]) -> Iterator[bytes]:
    """Events, so many together as a client takes at once."""
    lost = {row.key: row for row in shown.difference(rows)}
    changed: list[Row] = []
    for row in rows:
        if row not in shown:
            before = lost.pop(row.key, None)
            if before is None or before.body != row.body:
                changed.append(row)
    gone = [json_event("gone", {"namespace": key[0], "name": key[1]}) for key in lost]
    together, size = [], 0
    for one in itertools.chain(gone, (event("job", row.body) for row in changed)):
        together.append(one)
        size += len(one)
        if size >= TOGETHER:
            yield b"".join(together)
            together, size = [], 0
    if together:
        yield b"".join(together)
