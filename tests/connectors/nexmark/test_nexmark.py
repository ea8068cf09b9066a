"""The Nexmark stream: reproducible slice by slice, and with the proportions the benchmark describes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowjob as fj
from flowjob import nexmark
from flowjob.connectors.base import Assignment, Source
from flowjob.connectors.collect import collect, decode_report
from flowjob.connectors.nexmark.config import row_range
from flowjob.connectors.nexmark.pools import pools, reversed_bits
from flowjob.connectors.nexmark.schemas import EVENT_TYPE, TYPES
from flowjob.nexmark import Kind, NexmarkConfig, generate, generate_events
from flowjob.runtime.env import Env
from flowjob.testing.conformance import check_source
from flowjob.testing.run import run_job
from tests.runtime.operators.harness import MockClock

CONFIG = NexmarkConfig(events=200_000, tps=10_000, generators=4, seed=7)


def whole(
    kind: Kind, config: NexmarkConfig = CONFIG, columns: tuple[str, ...] | None = None
) -> pa.Table:
    parts = [
        generate(config, kind, 0, len(row_range(config, kind, g)), columns, generator=g)
        for g in range(config.generators)
    ]
    return pa.Table.from_batches(parts)


def numbers(table: pa.Table, column: str) -> np.ndarray:
    return table.column(column).to_numpy()


@settings(max_examples=40)
@given(
    st.sampled_from(Kind), st.integers(0, 300), st.integers(0, 200), st.integers(0, 3), st.data()
)
def test_a_slice_is_the_same_however_it_is_cut(
    kind: Kind, first: int, count: int, generator: int, data: st.DataObject
):
    large = generate(CONFIG, kind, 0, 500, generator=generator)
    large.validate(full=True)
    assert large.schema == TYPES[kind].schema
    part = generate(CONFIG, kind, first, count, generator=generator)
    assert part.equals(large.slice(first, count))
    wanted = tuple(data.draw(st.sets(st.sampled_from(TYPES[kind].schema.names), min_size=1)))
    some = generate(CONFIG, kind, first, count, wanted, generator=generator)
    assert set(some.schema.names) == set(wanted)
    assert some.equals(part.select(some.schema.names))


DIGESTS = {
    Kind.PERSON: "0ba19e39f26e0944",
    Kind.AUCTION: "410e44bdcbc91638",
    Kind.BID: "816be9b8f4d00972",
}


@pytest.mark.parametrize("kind", Kind)
def test_the_rows_of_a_configuration_never_change(kind: Kind):
    rows = generate(CONFIG, kind, 100, 300, generator=1).to_pylist()
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == DIGESTS[kind]


@settings(max_examples=20)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 3))
def test_the_stream_of_all_events_holds_the_rows_of_each_kind(
    first: int, count: int, generator: int
):
    events = generate_events(CONFIG, first, count, generator=generator)
    events.validate(full=True)
    assert events.schema == EVENT_TYPE.schema
    assert events.equals(generate_events(CONFIG, 0, 500, generator=generator).slice(first, count))
    if first:
        return
    for kind in Kind:
        column = events.column(kind.name.lower())
        present = column.drop_null()
        expected = generate(CONFIG, kind, 0, len(present), generator=generator)
        assert present.to_pylist() == expected.to_pylist()
        types = events.column("event_type").filter(column.is_valid())
        assert set(types.to_pylist()) <= {kind.value}
        times = events.column("date_time").filter(column.is_valid())
        assert times.equals(expected.column("date_time"))


def test_of_fifty_events_one_is_a_person_three_are_auctions_and_the_rest_bids():
    counts = {kind: sum(len(row_range(CONFIG, kind, g)) for g in range(4)) for kind in Kind}
    assert sum(counts.values()) == 200_000
    assert abs(counts[Kind.PERSON] - 4_000) <= 1
    assert abs(counts[Kind.AUCTION] - 12_000) <= 3
    small = NexmarkConfig(events=7, generators=3)
    assert sum(len(row_range(small, kind, g)) for g in range(3) for kind in Kind) == 7


def test_ids_are_disjoint_and_begin_after_the_two_events_that_never_happen():
    persons, auctions = numbers(whole(Kind.PERSON), "id"), numbers(whole(Kind.AUCTION), "id")
    assert np.array_equal(persons, np.arange(1001, 1001 + len(persons)))
    assert np.array_equal(auctions, np.arange(1001, 1001 + len(auctions)))


def test_generators_have_parallel_timelines_in_order():
    for g in range(4):
        times = generate(CONFIG, Kind.BID, 0, 50_000, ("date_time",), generator=g).column(0)
        micros = times.cast(pa.int64()).to_numpy()
        assert (np.diff(micros) >= 0).all()
        assert (micros % 1000 == 0).all()
        assert (micros[0] - CONFIG.base_time) < 2_000_000 // 50
        assert micros[-1] - micros[0] == pytest.approx(20_000_000, rel=0.01)


def test_hot_auctions_and_people_get_their_share():
    bids = whole(Kind.BID)
    auctions = numbers(bids, "auction") - 1000
    assert np.mean(auctions % 100 == 0) == pytest.approx(0.5 + 0.5 / 100, abs=0.01)
    bidders = numbers(bids, "bidder") - 1000
    assert np.mean(bidders % 100 == 1) == pytest.approx(0.75 + 0.25 / 100, abs=0.01)
    sellers = numbers(whole(Kind.AUCTION), "seller") - 1000
    assert np.mean(sellers % 100 == 0) == pytest.approx(0.75 + 0.25 / 100, abs=0.02)


def test_other_bids_spread_over_111_auctions_of_which_ten_do_not_exist_yet():
    bids = generate(CONFIG, Kind.BID, 100_00, 30_000)
    rounds = numbers(pa.table(bids), "date_time").astype("int64")
    assert len(rounds) == 30_000
    first = row_range(CONFIG, Kind.BID, 0).start + 100_00
    newest = (np.arange(first, first + 30_000) // 46) * 3 + 2
    distance = newest - (bids.column("auction").to_numpy() - 1000)
    cold = distance[bids.column("auction").to_numpy() % 100 != 0]
    assert cold.min() == -10
    assert cold.max() == 100
    assert np.mean(cold < 0) == pytest.approx(10 / 111, abs=0.01)


def test_shifted_bidders_are_a_thousand_above_plain_ones():
    shifted = NexmarkConfig(events=200_000, seed=7, bidder_ids="shifted")
    plain = generate(CONFIG, Kind.BID, 0, 1000)
    other = generate(shifted, Kind.BID, 0, 1000)
    difference = other.column("bidder").to_numpy() - plain.column("bidder").to_numpy()
    assert set(difference) == {1000}
    assert other.column("price").equals(plain.column("price"))


def test_prices_are_log_uniform():
    price = numbers(whole(Kind.BID), "price")
    assert price.min() >= 100
    assert price.max() <= 100_000_000
    assert np.median(price) == pytest.approx(1e5, rel=0.05)
    assert price.mean() == pytest.approx(7.24e6, rel=0.05)
    assert np.mean(price < 10_000) == pytest.approx(1 / 3, abs=0.01)


def test_auctions_live_for_as_long_as_the_inter_event_delay_says():
    auctions = whole(Kind.AUCTION)
    life = (numbers(auctions, "expires") - numbers(auctions, "date_time")).astype("int64") // 1000
    window = 1666 * 4 * 1e6 / 10_000 / 1000
    assert life.min() >= 1
    assert life.max() <= 2 * window + 2
    assert life.mean() == pytest.approx(window, rel=0.05)
    reserve = numbers(auctions, "reserve") - numbers(auctions, "initial_bid")
    assert reserve.min() >= 100
    assert set(numbers(auctions, "category")) == {10, 11, 12, 13, 14}


MEAN_LENGTHS = [
    (Kind.AUCTION, "item_name", 10.8),
    (Kind.AUCTION, "description", 50.8),
    (Kind.AUCTION, "extra", 390),
    (Kind.PERSON, "email_address", 12.7),
    (Kind.PERSON, "extra", 139),
    (Kind.BID, "extra", 67.5),
    (Kind.BID, "url", 53.5 + 0.45 * 21.5),
]


@pytest.mark.parametrize(("kind", "column", "mean"), MEAN_LENGTHS)
def test_strings_have_the_lengths_of_the_benchmark(kind: Kind, column: str, mean: float):
    lengths = pc.binary_length(whole(kind, columns=(column,)).column(column))
    assert pc.mean(lengths).as_py() == pytest.approx(mean, rel=0.02)


def test_queries_find_what_they_look_for():
    bids, persons = whole(Kind.BID), whole(Kind.PERSON)
    assert pc.mean(pc.is_in(persons.column("state"), pa.array(["OR", "ID", "CA"]))).as_py() == (
        pytest.approx(0.5, abs=0.03)
    )
    hot = pc.is_in(bids.column("channel"), pa.array(["Google", "Facebook", "Baidu", "Apple"]))
    marked = pc.match_substring(bids.column("url"), "&channel_id=")
    assert pc.mean(hot).as_py() == pytest.approx(0.5, abs=0.01)
    assert pc.mean(pc.or_(hot, marked)).as_py() == pytest.approx(0.95, abs=0.01)
    extra = pc.mean(pc.count_substring(bids.column("extra"), "c")).as_py()
    assert extra == pytest.approx(67.5 / 52, rel=0.1)


def test_channels_and_their_urls_belong_together():
    assert reversed_bits(1) == -(2**31)
    words = pools(0)
    assert len(words.channels) == len(words.urls) == 10_004
    for channel, url in zip(words.channels.to_pylist()[4:], words.urls.to_pylist()[4:]):
        if "channel_id=" in url:
            assert url.endswith(f"={abs(reversed_bits(int(channel.removeprefix('channel-'))))}")


def sources(**options: Any) -> list[Source]:
    kinds: list[Kind | None] = [None, *Kind]
    return [nexmark.source(kind, **options) for kind in kinds]


@pytest.mark.parametrize("source", sources(events=211, generators=3), ids=lambda s: s.name)
async def test_every_source_keeps_the_promises_of_a_source(source: nexmark.NexmarkSource, env: Env):
    rows = [r for g in range(3) for r in source.make(g, 0, source.rows(g)).to_pylist()]
    await check_source(source, rows, env)
    assert source.assignment is Assignment.DEAL
    assert source.bounded


async def test_without_a_number_of_events_it_has_no_end(env: Env):
    source = nexmark.bids(base_time=datetime(2020, 1, 1, tzinfo=UTC))
    assert not source.bounded
    [*_, last] = source.enumerator(env).splits  # type: ignore[attr-defined]
    read = await source.reader(env, last, {"rows": 10**12}, 100).read()
    assert read is not None
    assert read.columns.num_rows == 100


async def test_in_real_time_rows_come_when_they_are_due(env: Env, clock: MockClock):
    source = nexmark.bids(events=100_000, tps=1000, generators=1, real_time=True)
    [split] = source.enumerator(env).splits  # type: ignore[attr-defined]
    reader = source.reader(env, split, None, 10_000)
    start, rows = clock.monotonic(), 0
    while rows < 1000:
        read = await reader.read()
        assert read is not None
        rows += read.columns.num_rows
    assert clock.monotonic() - start == pytest.approx(1000 / 920, rel=0.02)


def test_generators_are_read_side_by_side_so_that_no_row_of_one_is_late_after_another() -> None:
    """Also in tests, where no JobManager deals the splits."""

    def per_minute(job: fj.Job, collected: list[int], *, late: bool) -> None:
        bids = job.read(nexmark.bids(events=2000, tps=10))
        windows = bids.key_by("bidder").window(fj.tumbling(timedelta(minutes=1))).agg(n=fj.count())
        job.write(windows.late if late else windows, collect())
        run_job(job, lambda _, data: collected.append(len(decode_report(data))))

    windows: list[int] = []
    per_minute(fj.Job("windows"), windows, late=False)
    late: list[int] = []
    per_minute(fj.Job("late"), late, late=True)
    assert sum(windows) > 0
    assert sum(late) == 0
