"""The job's log: one winner per number, nothing said twice, whatever the store does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.snapshot_log import Commit, LogState, Record, apply, refusal
from flowjob.runtime.storage import job_log
from flowjob.runtime.storage.job_log import LogUncertain, LostLeadership
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore, NoFaults
from flowjob.runtime.storage.object_store import StorageError
from flowjob.runtime.storage.paths import JobPaths
from flowjob.testing import run_virtually
from tests.runtime.storage.fakes import ChanceFaults, log_of, said, story

PATHS = JobPaths.of("j")


class FailingOnce(NoFaults):
    """Fails the next operations of one kind, before or after they happen."""

    def __init__(self) -> None:
        self.operation = ""
        self.times = 0
        self.happened = False

    def fail(self, operation: str, *, happened: bool, times: int = 1) -> None:
        self.operation, self.happened, self.times = operation, happened, times

    async def before(self, operation: str, name: str) -> None:
        self._meet(operation, happened=False)

    async def after(self, operation: str, name: str) -> None:
        self._meet(operation, happened=True)

    def _meet(self, operation: str, *, happened: bool) -> None:
        if (operation, happened) == (self.operation, self.happened) and self.times:
            self.times -= 1
            raise StorageError("connection lost")


def test_a_claim_gives_the_next_generation_and_others_read_what_was_said() -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        one, two = log_of(MemoryStore(objects), 1), log_of(MemoryStore(objects), 2)
        assert await one.claim("r1") == 1
        assert [await one.append(said(one, w)) for w in "ab"] == [2, 3]
        assert story(await two.read()) == ["a", "b"]
        assert await two.claim("r2") == 2
        assert (two.state.generation, two.length) == (2, 4)
        assert sorted(objects.found) == [PATHS.log_entry(n) for n in (1, 2, 3, 4)]

    run_virtually(scenario())


def test_who_lost_to_another_claim_can_append_no_more() -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        old, new = log_of(MemoryStore(objects), 1), log_of(MemoryStore(objects), 2)
        await old.claim("r1")
        await new.claim("r2")
        with pytest.raises(LostLeadership, match=r"generation 2.* has taken over"):
            await old.append(said(old, "zombie"))
        with pytest.raises(LostLeadership, match="does not lead"):
            await old.append(said(old, "again"))
        await new.append(said(new, "b"))
        assert story(await log_of(MemoryStore(objects)).read()) == ["b"]

    run_virtually(scenario())


def test_who_has_looked_and_knows_that_another_leads_is_told_the_same() -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        old, new = log_of(MemoryStore(objects), 1), log_of(MemoryStore(objects), 2)
        await old.claim("r1")
        record = said(old, "was about to be said")
        await new.claim("r2")
        await old.read()
        with pytest.raises(LostLeadership, match=r"generation 2.* has taken over"):
            await old.append(record)

    run_virtually(scenario())


def test_a_read_that_fails_leaves_nothing_running() -> None:
    class OneRefused(NoFaults):
        async def before(self, operation: str, name: str) -> None:
            if name == PATHS.log_entry(3):
                raise StorageError("connection lost")
            await asyncio.sleep(1)

    async def scenario() -> None:
        objects = MemoryObjects()
        writer = log_of(MemoryStore(objects), 1)
        await writer.claim("r1")
        for word in "abcdef":
            await writer.append(said(writer, word))
        with pytest.raises(StorageError, match="connection lost"):
            await log_of(MemoryStore(objects, faults=OneRefused()), 2).read()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(scenario())


@pytest.mark.parametrize("happened", [False, True])
def test_an_append_whose_answer_was_lost_is_in_the_log_once(happened: bool) -> None:
    async def scenario() -> None:
        faults = FailingOnce()
        objects = MemoryObjects()
        log = log_of(MemoryStore(objects, faults=faults))
        await log.claim("r1")
        faults.fail("create", happened=happened, times=3)
        assert await log.append(said(log, "a")) == 2
        await log.append(said(log, "b"))
        assert story(await log_of(MemoryStore(objects)).read()) == ["a", "b"]

    run_virtually(scenario())


@pytest.mark.parametrize("happened", [False, True])
def test_when_the_store_stays_away_the_outcome_is_uncertain_until_the_next_claim(
    happened: bool,
) -> None:
    async def scenario() -> None:
        faults = FailingOnce()
        log = log_of(MemoryStore(faults=faults))
        await log.claim("r1")
        faults.fail("create", happened=happened, times=1000)
        with pytest.raises(LogUncertain, match="nobody knows whether entry 2"):
            await log.append(said(log, "a"), patience=30)
        faults.times = 0
        with pytest.raises(LostLeadership):
            await log.append(said(log, "b"))
        assert await log.claim("r1") == 2
        assert story(log.state) == (["a"] if happened else [])

    run_virtually(scenario())


def test_an_append_that_was_cancelled_is_settled_by_the_next_claim() -> None:
    class Slow(NoFaults):
        async def after(self, operation: str, name: str) -> None:
            await asyncio.sleep(1)

    async def scenario() -> None:
        log = log_of(MemoryStore(faults=Slow()))
        await log.claim("r1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(log.append(said(log, "a")), 0.5)
        with pytest.raises(LostLeadership):
            await log.append(said(log, "b"))
        await log.claim("r1")
        assert story(log.state) == ["a"]

    run_virtually(scenario())


@pytest.mark.parametrize("others", [0, 1, 30])
def test_a_claim_tells_whether_anybody_else_has_written_since(
    others: int, short_milestones: None
) -> None:
    async def scenario() -> None:
        faults = FailingOnce()
        objects = MemoryObjects()
        log, other = log_of(MemoryStore(objects, faults=faults), 1), log_of(MemoryStore(objects), 2)
        await log.claim("r1")
        faults.fail("create", happened=True, times=1000)
        with pytest.raises(LogUncertain):
            await log.append(said(log, "a"))
        with pytest.raises(LogUncertain):
            await log.claim("r1")
        faults.times = 0
        if others:
            await other.claim("r2")
            for n in range(others - 1):
                await other.append(said(other, f"w{n}"))
                await other.trim()
        await log.claim("r1")
        assert log.interrupted is bool(others)
        await log.append(said(log, "b"))
        await log.claim("r1")
        assert log.interrupted is False

    run_virtually(scenario())


def test_a_record_that_the_rules_refuse_is_not_written() -> None:
    async def scenario() -> None:
        log = log_of(MemoryStore())
        await log.claim("r1")
        await log.append(said(log, "a"))
        for record in (Commit(1, 1, "again", 0), Commit(2, 5, "not mine", 0)):
            with pytest.raises(ValueError, match="must not be appended"):
                await log.append(record)
        await log.append(said(log, "b"))
        assert story(log.state) == ["a", "b"]

    run_virtually(scenario())


def test_a_store_that_overwrites_is_refused_before_anything_is_claimed() -> None:
    class Overwriting(MemoryStore):
        async def create(self, name: str, data: bytes) -> bool:
            await self.put(name, data)
            return True

    async def scenario() -> None:
        store = Overwriting(url="s3://old/server")
        with pytest.raises(StorageError, match=r"s3://old/server.*If-None-Match.*storage\.md"):
            await log_of(store).claim("r1")
        assert store.objects.found == {}

    run_virtually(scenario())


def test_foreign_objects_and_newer_formats_in_the_log_are_told() -> None:
    async def scenario() -> None:
        for content, complaint in (
            (b"hello", "cannot be read"),
            (b'{"format":9,"token":"t","written":0,"record":{}}', "format 9.*newer flowjob"),
            (b'{"format":1,"token":"t","written":0,"record":{"record":"sung"}}', "cannot be read"),
        ):
            store = MemoryStore()
            await store.put(PATHS.log_entry(1), content)
            with pytest.raises(StorageError, match=f"entry 1.*{complaint}"):
                await log_of(store).read()

    run_virtually(scenario())


# -- long logs


@pytest.fixture
def short_milestones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MILESTONE", 4)
    monkeypatch.setattr(job_log, "SUMMED", 2)


class Counting(NoFaults):
    """What was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def before(self, operation: str, name: str) -> None:
        self.asked.append(operation)


@pytest.mark.parametrize("count", [10, 100, 250, 500])
def test_who_begins_reads_few_entries_however_long_the_log_is(count: int) -> None:
    async def scenario() -> None:
        objects, asked = MemoryObjects(), Counting()
        log = log_of(MemoryStore(objects))
        await log.claim("r1")
        for n in range(count):
            await log.append(said(log, f"w{n}"))
        reader = log_of(MemoryStore(objects, faults=asked))
        assert await reader.read() == log.state
        entries = job_log.SUMMED + 1
        assert asked.asked.count("get") <= 2 * entries  # the last window reaches behind the end
        assert asked.asked.count("head") <= 10

    run_virtually(scenario())


@pytest.mark.usefixtures("short_milestones")
@pytest.mark.parametrize("count", [3, 4, 6, 7, 30])
def test_a_log_whose_milestones_alone_have_summaries_is_read_too(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        log = log_of(MemoryStore(objects))
        with monkeypatch.context() as older:
            older.setattr(job_log, "SUMMED", job_log.MILESTONE)
            await log.claim("r1")
            for n in range(count):
                await log.append(said(log, f"w{n}"))
        assert await log_of(MemoryStore(objects)).read() == log.state

    run_virtually(scenario())


@pytest.mark.usefixtures("short_milestones")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 60])
def test_a_log_of_any_length_is_read_from_its_last_summary(count: int) -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        log = log_of(MemoryStore(objects))
        await log.claim("r1")
        words = []
        for n in range(count):
            words.append(f"w{n}")
            await log.append(said(log, f"w{n}"))
            await log.trim()
        reader = log_of(MemoryStore(objects))
        assert story(await reader.read()) == words
        assert reader.length == count + 1
        kept = [PATHS.sequence_of(name) or 0 for name in objects.found]
        newest = log.length // 4 * 4
        assert [n for n in kept if n % 4 and n < newest] == []  # what was deleted stays bounded
        assert [n for n in kept if n % 4 == 0] == list(range(4, log.length + 1, 4))

    run_virtually(scenario())


@pytest.mark.usefixtures("short_milestones")
def test_who_slept_while_the_log_was_trimmed_wins_no_number_that_has_become_free() -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        sleeper, new = log_of(MemoryStore(objects), 1), log_of(MemoryStore(objects), 2)
        late_reader = log_of(MemoryStore(objects), 3)
        await sleeper.claim("r1")
        await late_reader.read()
        await new.claim("r2")
        for n in range(20):
            await new.append(said(new, f"w{n}"))
            await new.trim()
        assert PATHS.log_entry(2) not in objects.found
        with pytest.raises(LostLeadership, match="generation 2"):
            await sleeper.append(said(sleeper, "zombie"))
        assert await late_reader.read() == new.state
        assert await sleeper.claim("r1") == 3
        assert story(sleeper.state) == story(new.state)

    run_virtually(scenario())


# -- many writers, bad weather


async def _lead(log: Any, words: list[str], sure: list[str], maybe: list[str]) -> None:
    """Says `words` until that fails; `sure` gets what certainly was said, `maybe` what was tried last."""
    with contextlib.suppress(StorageError):
        await log.claim("r")
        for word in words:
            try:
                await log.append(said(log, word), patience=20)
            except (LogUncertain, LostLeadership):
                maybe.append(word)
                return
            sure.append(word)


def _assert_no_record_is_void(objects: MemoryObjects) -> None:
    """Neither a former leader's nor anything else that the rules refuse."""
    state = LogState()
    entries = sorted((n, o) for n, o in objects.found.items() if PATHS.sequence_of(n))
    for number, (name, found) in enumerate(entries, 1):
        assert PATHS.sequence_of(name) == number
        record = msgspec.convert(msgspec.json.decode(found.data)["record"], Record)  # type: ignore[call-overload]
        assert refusal(state, record) is None
        state = apply(state, record)


@given(
    seed=st.integers(0, 2**32),
    probability=st.sampled_from([0.0, 0.05, 0.3]),
    starts=st.lists(st.floats(0, 20), min_size=1, max_size=4),
)
@settings(max_examples=60)
def test_many_leaders_in_bad_weather_leave_one_story(
    seed: int, probability: float, starts: list[float]
) -> None:
    async def scenario() -> None:
        objects = MemoryObjects()
        sure: list[str] = []
        maybe: list[str] = []

        async def leader(index: int, start: float) -> None:
            await asyncio.sleep(start)
            store = MemoryStore(objects, faults=ChanceFaults(seed + index, probability))
            words = [f"{index}-{n}" for n in range(6)]
            await _lead(log_of(store, index), words, sure, maybe)

        await asyncio.gather(*(leader(i, s) for i, s in enumerate(starts)))
        words = story(await log_of(MemoryStore(objects)).read())
        assert len(set(words)) == len(words)
        assert set(sure) <= set(words) <= {*sure, *maybe}
        for index in map(
            str, range(len(starts))
        ):  # answers may cross, but each leader's words are in its order
            own = [w for w in words if w.startswith(f"{index}-")]
            assert own == sorted(own)
        _assert_no_record_is_void(objects)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_log, "MILESTONE", 4)
        patch.setattr(job_log, "SUMMED", 2)
        run_virtually(scenario())


def test_records_are_kept_as_json_for_people_to_read() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await log_of(store).claim("r1")
        text = (await store.get(PATHS.log_entry(1))).decode()
        assert '"record":{"record":"claim","generation":1,"revision":"r1"}' in text

    run_virtually(scenario())
