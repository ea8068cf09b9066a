"""Asking JobManagers: over TLS with the right identity only, the one that leads, with deadlines, and in the background.

Certificates are real and connections local; what is asked in the background is played in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from flowjob.cluster.control_api import (
    Checkpointing,
    JobManagerView,
    NotLeader,
    OperationView,
    Snapshot,
    TakeCheckpoint,
)
from flowjob.cluster.identity import JOBMANAGER, OPERATOR, TASKMANAGER, JobId, identity_uri
from flowjob_operator.core.observed import Unreachable
from flowjob_operator.identity.authority import Authority, new_authority
from flowjob_operator.identity.certificates import Subject, new_leaf
from flowjob_operator.identity.identities import LIFE, platform_leaf
from flowjob_operator.process.asking.answers import LONGEST_SENTENCE, read_operation, read_view
from flowjob_operator.process.asking.jobmanagers import (
    Address,
    JobManagers,
    Papers,
    Refused,
    Silent,
)
from flowjob_operator.process.asking.looking import Interest, Looking
from flowjob_operator.process.queue import FORGET, Again
from tests.operator.process.harness import FakeJobManagers, play
from tests.operator.process.keys import randomness
from tests.operator.process.world import VirtualClock

JOB = JobId("a", "flights", "uid-1")
VIEW = JobManagerView(uid="uid-1", revision=1, state="Running", started_at="2026-11-21T12:00:00Z")
NOW = datetime.now(UTC)


def authority() -> Authority:
    return new_authority(NOW, randomness())


def papers(of: Authority) -> Papers:
    leaf = platform_leaf(of, OPERATOR, (), NOW, randomness())
    return Papers(of.trusted, leaf.certificate_pem, leaf.key_pem)


def server_context(of: Authority, folder: Path, job: JobId, role: str) -> ssl.SSLContext:
    subject = Subject("it", identity_uri(job.namespace, job.name, job.uid, role))
    leaf = new_leaf(of.signing, subject, LIFE, NOW, randomness())
    both = folder / "both.pem"
    both.write_bytes(leaf.certificate_pem + leaf.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=of.trusted.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(both)
    return context


@asynccontextmanager
async def server(
    answer: Callable[[web.Request], Any], context: ssl.SSLContext | None
) -> AsyncIterator[Address]:
    async def handle(request: web.Request) -> web.Response:
        found = answer(request)
        if isinstance(found, float):
            await asyncio.sleep(found)
            found = (200, b"")
        status, body = found
        return web.Response(
            status=status, body=body if isinstance(body, bytes) else msgspec.json.encode(body)
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield Address("127.0.0.1", runner.addresses[0][1], "flights-jm-1-abc")
    finally:
        await runner.cleanup()


def asks(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


@pytest.mark.parametrize(
    ("job", "role", "is_ours", "says"),
    [
        (JOB, JOBMANAGER, True, None),
        (JobId("a", "other", "uid-2"), JOBMANAGER, True, "that of jobmanager of job a/other/uid-2"),
        (JobId("a", "flights", "uid-0"), JOBMANAGER, True, "uid-0"),
        (JOB, TASKMANAGER, True, "only jobmanager may be here"),
        (JOB, JOBMANAGER, False, "certificate verify failed"),
    ],
)
def test_only_the_jobmanager_that_is_called_is_believed(
    tmp_path: Path, job: JobId, role: str, is_ours: bool, says: str | None
) -> None:
    async def work() -> None:
        ours = authority()
        mine = papers(ours)
        # Whoever pretends trusts us, but was not signed by ours.
        other = ours if is_ours else new_authority(NOW, strangers())
        context = server_context(other, tmp_path, job, role)
        if not is_ours:
            context.load_verify_locations(cadata=ours.trusted.decode())
        async with (
            server(lambda _: (200, VIEW), context) as address,
            JobManagers(lambda: mine, 60.0) as managers,
        ):
            if says is None:
                view, by = await managers.status(JOB, [address])
                assert (view, by) == (VIEW, address)
            else:
                with pytest.raises(Silent) as silent:
                    await managers.status(JOB, [address])
                assert says in str(silent.value)

    asks(work)


def strangers() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    from flowjob_operator.identity.randomness import Randomness

    made = randomness()
    return Randomness(lambda: ec.generate_private_key(ec.SECP256R1()), made.serial, made.secret)


def test_one_that_does_not_lead_names_the_one_that_does() -> None:
    async def work() -> None:
        leader_asked = 0

        def lead(_: web.Request) -> Any:
            nonlocal leader_asked
            leader_asked += 1
            return (200, VIEW)

        async with server(lead, None) as leader:
            told = NotLeader(leader=f"{leader.host}:{leader.port}")
            async with (
                server(lambda _: (421, told), None) as standby,
                JobManagers(lambda: None, 60.0) as managers,
            ):
                leader = Address(leader.host, leader.port, "flights-jm-1-def")
                standby = Address("localhost", standby.port, "flights-jm-1-abc")
                _, by = await managers.status(JOB, [standby, leader])
                assert by == leader
        assert leader_asked == 1

    asks(work)


def test_that_nobody_leads_is_told_apart_from_that_nobody_answers() -> None:
    async def work() -> None:
        async with (
            server(lambda _: (421, NotLeader()), None) as standby,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            with pytest.raises(Silent) as silent:
                await managers.status(JOB, [standby])
            assert silent.value.not_leading
            with pytest.raises(Silent, match="no pod of a JobManager"):
                await managers.status(JOB, [])
            dead = Address("127.0.0.1", 1, "dead")
            with pytest.raises(Silent, match="dead:1") as silent:
                await managers.status(JOB, [dead])
            assert not silent.value.not_leading

    asks(work)


def test_one_that_hangs_is_given_up() -> None:
    async def work() -> None:
        async with (
            server(lambda _: 300.0, None) as hangs,
            JobManagers(lambda: None, 0.2) as managers,
        ):
            with pytest.raises(Silent, match=r"no answer within 0\.2 s"):
                await managers.status(JOB, [hangs])

    asks(work)


def test_when_one_cannot_be_reached_the_next_is_asked() -> None:
    async def work() -> None:
        async with (
            server(lambda _: (200, VIEW), None) as leads,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            _, by = await managers.status(JOB, [Address("127.0.0.1", 1, "dead"), leads])
            assert by == leads

    asks(work)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((409, {"code": "CONFLICT", "message": "that id is another's"}), Refused, "another's"),
        ((400, b"<html>"), Refused, "<html>"),
        ((503, {"message": "starting"}), Silent, "starting"),
        ((200, b"{"), Silent, "does not understand"),
    ],
)
def test_refusals_and_trouble_are_told_apart(
    answer: Any, error: type[Exception], says: str
) -> None:
    async def work() -> None:
        async with (
            server(lambda _: answer, None) as address,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            with pytest.raises(error) as found:
                await managers.ask(JOB, [address], "uid-1.1.Stop", TakeCheckpoint())
            assert says in str(found.value)

    asks(work)


def a_view(**fields: Any) -> dict[str, Any]:
    return {"uid": "uid-1", "revision": 1, "state": "Running", **fields}


A_SNAPSHOT = {"type": "Savepoint", "id": 1, "path": "s3://b/x"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (a_view(restarts=-1), "restarts is -1"),
        (a_view(attempt=2**60), "attempt is"),
        (a_view(slots={"needed": -3}), "slots.needed is -3"),
        (a_view(checkpoints={"completed": -2}), "checkpoints.completed is -2"),
        (a_view(state="Dreaming"), "Dreaming"),
        (a_view(startedAt="yesterday"), "startedAt is 'yesterday'"),
        (a_view(endedAt="2026-11-21T12:00:00"), "endedAt"),
        (a_view(final={**A_SNAPSHOT, "size": -1}), "final.size"),
        (a_view(final={**A_SNAPSHOT, "completedAt": "now"}), "final.completedAt"),
        (a_view(checkpoints={"latest": {**A_SNAPSHOT, "checksum": "x"}}), "latest.checksum"),
        (b"[]", "Expected"),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_answer_and_says_what(answer: Any, says: str) -> None:
    data = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)

    async def work() -> None:
        async with (
            server(lambda _: (200, data), None) as address,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            with pytest.raises(Silent) as found:
                await managers.status(JOB, [address])
            assert says in str(found.value)
            assert found.value.fact.unreadable

    asks(work)


def test_errors_of_any_length_fit_into_a_status() -> None:
    view = read_view(
        msgspec.json.encode(a_view(error="x" * 100_000, checkpoints={"error": "y" * 9000}))
    )
    assert len(view.error or "") == len(view.checkpoints.error or "") == LONGEST_SENTENCE
    assert read_operation(b'{"id": "1", "state": "Failed", "error": "no"}').error == "no"


def test_an_operation_is_asked_for_under_its_id_and_may_be_unknown() -> None:
    async def work() -> None:
        asked: list[tuple[str, str]] = []

        def answer(request: web.Request) -> Any:
            asked.append((request.method, request.path))
            if request.method == "GET":
                return (404, {"code": "UNKNOWN_OPERATION", "message": "no"})
            return (200, OperationView(id="x", state="UnderWay"))

        async with (
            server(answer, None) as address,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            assert await managers.operation(JOB, [address], "uid-1.1.Stop") is None
            found = await managers.ask(JOB, [address], "uid-1.1.Stop", TakeCheckpoint())
            assert found.state == "UnderWay"
        path = "/internal/v1/operations/uid-1.1.Stop"
        assert asked == [("GET", path), ("PUT", path)]

    asks(work)


def test_a_jobmanager_of_another_job_is_not_believed_even_without_tls() -> None:
    async def work() -> None:
        other = msgspec.structs.replace(VIEW, uid="uid-9")
        async with (
            server(lambda _: (200, other), None) as address,
            JobManagers(lambda: None, 60.0) as managers,
        ):
            with pytest.raises(Silent, match="another job, uid-9"):
                await managers.status(JOB, [address])

    asks(work)


# -- in the background

HERE = (Address("10.0.0.1", 7402, "flights-jm-1-abc"),)
KEY = ("a", "flights")


class Background:
    def __init__(self) -> None:
        self.managers = FakeJobManagers({"flights": VIEW})
        self.changed: list[float] = []
        self.woken: list[float] = []
        self.clock = VirtualClock()
        self.looking = Looking(
            self.managers,
            self.clock,
            10.0,
            lambda _, after: self.woken.append(after),
            lambda _: self.changed.append(self.clock.monotonic()),
        )


def test_a_look_at_the_job_asks_only_once_and_then_in_the_background() -> None:
    async def scenario() -> None:
        it = Background()
        for _ in range(10):
            seen = await it.looking.newest(KEY, Interest(JOB, HERE))
            assert seen.view == VIEW
            await asyncio.sleep(1)
        assert it.managers.looks == 1
        assert len({round(n + after, 6) for n, after in enumerate(it.woken)}) == 1, "one turn"
        assert all(0.0 < after <= 10.0 for after in it.woken)

    play(scenario)


def test_jobs_that_began_together_are_asked_one_after_the_other_and_each_at_its_interval() -> None:
    async def scenario() -> None:
        it = Background()
        keys = [("a", f"flights-{n}") for n in range(500)]
        it.managers.views.update({name: VIEW for _, name in keys})
        for key in keys:
            await it.looking.newest(key, Interest(dataclasses.replace(JOB, name=key[1]), HERE))
        per_second = Counter(int(after) for after in it.woken)
        assert set(per_second) == set(range(10))
        assert max(per_second.values()) < 80
        await asyncio.sleep(it.woken[0])
        again = await it.looking.look(keys[0])
        assert isinstance(again, Again)
        assert again.after == pytest.approx(10.0)

    play(scenario)


def test_what_a_look_at_the_job_has_seen_is_not_told_again() -> None:
    async def scenario() -> None:
        it = Background()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        for n in range(1, 12):
            await asyncio.sleep(10)
            done = Checkpointing(completed=n)
            it.managers.views["flights"] = msgspec.structs.replace(VIEW, checkpoints=done)
            await it.looking.look(KEY)
            if n == 5:
                await it.looking.newest(KEY, Interest(JOB, HERE))
        assert it.changed == [110.0]

    play(scenario)


def test_a_job_that_something_is_done_with_is_asked_every_second_and_more_often_behind_a_change() -> (
    None
):
    async def scenario() -> None:
        it = Background()
        busy = Interest(JOB, HERE, busy=True)

        async def paces(count: int) -> list[float]:
            """Of looks that each come when the one before has said."""
            found = []
            for _ in range(count):
                answer = await it.looking.look(KEY)
                assert isinstance(answer, Again)
                await asyncio.sleep(answer.after)
                found.append(answer.after)
            return found

        await it.looking.newest(KEY, busy)
        assert it.woken == [0.25]
        calming = await paces(12)
        assert calming[0] == 0.25
        assert calming == sorted(calming)
        assert calming[-1] == 1.0
        it.managers.views["flights"] = msgspec.structs.replace(VIEW, state="Stopping")
        assert await paces(1) == [0.25]
        await paces(12)
        there = (Address("10.0.0.2", 7402, "flights-jm-2-abc"),)
        await it.looking.newest(KEY, dataclasses.replace(busy, addresses=there))
        assert it.woken[-1] == 0.25

    play(scenario)


def test_a_jobmanager_that_hangs_costs_a_reconcile_nothing_after_the_first_time() -> None:
    async def scenario() -> None:
        it = Background()
        it.managers.views["flights"] = 3.0
        began = it.clock.monotonic()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        assert it.clock.monotonic() - began == 3.0
        for _ in range(20):
            seen = await it.looking.newest(KEY, Interest(JOB, HERE))
            assert isinstance(seen.view, Unreachable)
        assert it.clock.monotonic() - began == 3.0
        pauses = [(await it.looking.look(KEY)) for _ in range(6)]
        assert pauses == [Again(n) for n in (4.0, 8.0, 15.0, 15.0, 15.0, 15.0)]

    play(scenario)


def test_a_pod_that_takes_anothers_place_is_asked_at_once() -> None:
    async def scenario() -> None:
        it = Background()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        there = (Address("10.0.0.2", 7402, "flights-jm-1-def"),)
        await it.looking.newest(KEY, Interest(JOB, there))
        assert it.managers.looks == 2
        seen = await it.looking.newest(KEY, Interest(JOB, ()))
        assert isinstance(seen.view, Unreachable)

    play(scenario)


def test_another_job_of_the_name_is_another_job() -> None:
    async def scenario() -> None:
        it = Background()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        again = JobId("a", "flights", "uid-2")
        it.managers.views["flights"] = Silent("starting")
        seen = await it.looking.newest(KEY, Interest(again, HERE))
        assert isinstance(seen.view, Unreachable)

    play(scenario)


def test_changes_that_matter_are_told_and_checkpoints_only_now_and_then() -> None:
    async def scenario() -> None:
        it = Background()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        for n in range(1, 13):
            await asyncio.sleep(10)
            latest = Snapshot(type="Checkpoint", id=n, path=f"s3://b/{n}")
            done = Checkpointing(latest=latest, completed=n)
            it.managers.views["flights"] = msgspec.structs.replace(VIEW, checkpoints=done)
            await it.looking.look(KEY)
        assert it.changed == [60.0, 120.0]
        await asyncio.sleep(1)
        it.managers.views["flights"] = msgspec.structs.replace(VIEW, state="Failed", error="x")
        await it.looking.look(KEY)
        assert it.changed[-1] == 121.0

    play(scenario)


def test_one_whose_job_is_gone_is_asked_no_more() -> None:
    async def scenario() -> None:
        it = Background()
        await it.looking.newest(KEY, Interest(JOB, HERE))
        it.looking.forget(KEY)
        assert await it.looking.look(KEY) == FORGET

    play(scenario)
