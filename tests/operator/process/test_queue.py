"""The queue: coalescing, order, retries, fairness, and what it holds on to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.testing import run_virtually
from flowjob_operator.process.queue import FORGET, Again, Answer, Pace, Queue, Slow
from tests.operator.process.world import VirtualClock

EXACT = Pace(concurrency=4, resync=60.0, first_retry=1.0, longest_retry=30.0, jitter=0.0)


@dataclass
class Work:
    """What was done when; `script` answers for each key, `slow` says how long it takes."""

    script: dict[str, list[Answer | Exception]] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    done: list[tuple[str, float]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    busy: set[str] = field(default_factory=set)

    async def __call__(self, key: str) -> Answer:
        assert key not in self.busy, "one key is worked on by one at a time"
        self.busy.add(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.done.append((key, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(self.slow.get(key, 0.0))
        finally:
            self.busy.discard(key)
            self.at_once -= 1
        answers = self.script.get(key) or [None]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, key: str) -> list[float]:
        return [at for k, at in self.done if k == key]


@asynccontextmanager
async def running(
    work: Callable[[str], Awaitable[Answer]], pace: Pace = EXACT
) -> AsyncIterator[Queue[str]]:
    queue = Queue(work, VirtualClock(), pace)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_what_is_added_often_is_done_once() -> None:
    async def main() -> None:
        work = Work()
        async with running(work) as queue:
            for _ in range(100):
                queue.add("a")
            await asyncio.sleep(1)
        assert work.times("a") == [0.0]

    run_virtually(main())


def test_what_happens_while_a_key_is_worked_on_has_it_worked_on_once_more() -> None:
    async def main() -> None:
        work = Work(slow={"a": 5.0})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(1)
            for _ in range(10):
                queue.add("a")
            await asyncio.sleep(20)
        assert work.times("a") == [0.0, 5.0]

    run_virtually(main())


def test_each_key_is_looked_at_again_every_minute() -> None:
    async def main() -> None:
        work = Work()
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(181)
        assert work.times("a") == [0, 60, 120, 180]

    run_virtually(main())


def test_work_may_ask_to_be_done_again_sooner() -> None:
    async def main() -> None:
        work = Work(script={"a": [Again(2.0), Again(3.0), None]})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(10)
        assert work.times("a") == [0, 2, 5]

    run_virtually(main())


def test_failures_are_tried_again_with_pauses_that_double_up_to_a_bound() -> None:
    async def main() -> None:
        work = Work(script={"a": [RuntimeError("no")]})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(100)
        assert work.times("a") == [0, 1, 3, 7, 15, 31, 61, 91]

    run_virtually(main())


def test_a_success_ends_the_growing_of_pauses() -> None:
    async def main() -> None:
        no = RuntimeError("no")
        work = Work(script={"a": [no, no, Again(1.0), no, no]})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(8)
        assert work.times("a") == [0, 1, 3, 4, 5, 7]

    run_virtually(main())


def test_a_server_that_wants_to_be_left_alone_is() -> None:
    async def main() -> None:
        work = Work(script={"a": [Slow("busy", 20.0), None]})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(5)
            queue.add("a")
            await asyncio.sleep(20)
        assert work.times("a") == [0, 20]

    run_virtually(main())


def test_an_edit_shortens_the_pause_after_failures_but_not_to_nothing() -> None:
    async def main() -> None:
        work = Work(script={"a": [RuntimeError("no")] * 6 + [None]})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(31.5)
            queue.add("a")
            await asyncio.sleep(1)
        assert work.times("a") == [0, 1, 3, 7, 15, 31, 32], "else the next try would be at 61"

    run_virtually(main())


def test_events_do_not_have_a_broken_key_tried_more_than_once_a_second() -> None:
    async def main() -> None:
        work = Work(script={"a": [RuntimeError("no")]})
        async with running(work) as queue:
            queue.add("a")
            for _ in range(100):
                await asyncio.sleep(0.1)
                queue.add("a")
        gaps = [b - a for a, b in zip(work.times("a"), work.times("a")[1:])]
        assert min(gaps) >= 0.999

    run_virtually(main())


def test_work_that_takes_too_long_is_a_failure_and_frees_its_place() -> None:
    async def main() -> None:
        pace = Pace(concurrency=1, jitter=0.0, deadline=10.0, resync=1000.0)
        work = Work(slow={"a": 10_000.0})
        async with running(work, pace) as queue:
            queue.add("a")
            queue.add("b")
            await asyncio.sleep(10.5)
            assert work.times("b") == [10]
            await asyncio.sleep(1)
            assert work.times("a") == [0, 11]

    run_virtually(main())


def test_slow_and_broken_keys_delay_no_other() -> None:
    async def main() -> None:
        pace = Pace(concurrency=32, jitter=0.0, deadline=60.0)
        bad = {f"bad-{n}" for n in range(20)}
        work = Work(
            slow={key: 45.0 for key in bad if key.endswith(("1", "3", "5", "7", "9"))},
            script={key: [RuntimeError("no")] for key in bad},
        )
        async with running(work, pace) as queue:
            for key in [*bad, *(f"good-{n}" for n in range(500))]:
                queue.add(key)
            await asyncio.sleep(30)
            queue.add("good-7")
            await asyncio.sleep(0.01)
        assert {k for k, at in work.done if k.startswith("good") and at == 0.0} == {
            f"good-{n}" for n in range(500)
        }
        assert work.times("good-7") == [0.0, 30.0]

    run_virtually(main())


def test_events_go_before_resyncs() -> None:
    async def main() -> None:
        pace = Pace(concurrency=1, jitter=0.0)
        names = [f"k{n}" for n in range(100)]
        work = Work(slow=dict.fromkeys(names, 1.0))
        async with running(work, pace) as queue:
            for name in names:
                queue.add(name, urgent=False)
            await asyncio.sleep(0.5)
            queue.add("k90")
            await asyncio.sleep(2)
        assert [key for key, _ in work.done] == ["k0", "k90", "k1"]

    run_virtually(main())


def test_no_more_are_at_work_at_once_than_allowed() -> None:
    async def main() -> None:
        work = Work(slow={f"k{n}": 1.0 for n in range(50)})
        async with running(work) as queue:
            for n in range(50):
                queue.add(f"k{n}")
            await asyncio.sleep(3.5)
            assert queue.depth == 50 - 16
            assert queue.at_work == 4
        assert work.most_at_once == 4

    run_virtually(main())


@pytest.mark.parametrize("by_work", [True, False])
def test_what_is_forgotten_is_done_no_more(by_work: bool) -> None:
    async def main() -> None:
        work = Work(script={"a": [FORGET if by_work else None]}, slow={"a": 1.0})
        async with running(work) as queue:
            queue.add("a")
            if not by_work:
                await asyncio.sleep(0.5)
                queue.forget("a")
            await asyncio.sleep(200)
            assert queue.keys() == []
            queue.add("a")
            await asyncio.sleep(0.1)
        assert work.times("a") == [0, 200.5 if not by_work else 200]

    run_virtually(main())


def test_what_is_made_anew_while_its_end_is_worked_on_is_not_lost() -> None:
    async def main() -> None:
        work = Work(script={"a": [FORGET, None]}, slow={"a": 5.0})
        async with running(work) as queue:
            queue.add("a")
            await asyncio.sleep(1)
            queue.add("a")
            await asyncio.sleep(7)
            assert queue.keys() == ["a"]
        assert work.times("a") == [0, 5]

    run_virtually(main())


def test_a_queue_that_is_stuck_shows() -> None:
    async def main() -> None:
        pace = Pace(concurrency=1, deadline=1e9)
        work = Work(slow={"a": 1e9})
        async with running(work, pace) as queue:
            queue.add("a")
            await asyncio.sleep(100)
            assert queue.idle_although_due() == 0.0
            assert queue.oldest_work() == 100.0
            queue.add("b")
            await asyncio.sleep(100)
            assert queue.idle_although_due() == 200.0

    run_virtually(main())


def test_timers_that_mean_nothing_any_more_do_not_pile_up() -> None:
    async def main() -> None:
        work = Work()
        async with running(work) as queue:
            for _ in range(2_000):
                queue.add("a")
                await asyncio.sleep(0.001)
            assert len(queue._timers) < 200

    run_virtually(main())


@settings(max_examples=10)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from([0.0, 0.3, 2.0, 70.0]),
            st.sampled_from(["ok", "fail", "again", "slow"]),
        ),
        max_size=30,
    ),
    concurrency=st.integers(1, 3),
)
def test_whatever_happens_every_key_that_was_added_is_worked_on_afterwards(
    steps: list[tuple[str, float, str]], concurrency: int
) -> None:
    async def main() -> None:
        pace = Pace(concurrency=concurrency, deadline=5.0)
        answers: dict[str, str] = {}
        last_start: dict[str, float] = {}

        async def work(key: str) -> Answer:
            last_start[key] = asyncio.get_running_loop().time()
            match answers.get(key, "ok"):
                case "fail":
                    raise RuntimeError("no")
                case "again":
                    return Again(0.5)
                case "slow":
                    await asyncio.sleep(100)
            return None

        added: dict[str, float] = {}
        async with running(work, pace) as queue:
            for key, pause, answer in steps:
                answers[key] = answer
                queue.add(key)
                added[key] = asyncio.get_running_loop().time()
                await asyncio.sleep(pause)
            await asyncio.sleep(200)
        assert all(last_start[key] >= at for key, at in added.items())

    run_virtually(main())
