"""Golden jobs without keys: columns, row functions, ways from subtask to subtask, unions, changes of event time.

What they keep is only how far their sources are read and what is on its way."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

import flowjob as fj
from tests.golden.jobs.rows import HOUR, MINUTE, Reading, golden, read, spread


class Told(fj.Schema):
    sensor: str
    text: str


class Sorted(fj.Process[Reading, Told]):
    """Large values leave by the side."""

    large = fj.side_output("large", Told)

    def on_row(self, row: Reading, ctx: fj.Context) -> None:
        told = Told(row.sensor, f"{row.number}: {row.value}")
        if row.value > 5:
            ctx.emit_to(self.large, told)
        else:
            ctx.emit(told)


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    twice = pc.multiply(batch.column("value"), 2)
    return pa.RecordBatch.from_arrays([batch.column("number"), twice], ["number", "twice"])


DOUBLED = pa.schema([("number", pa.int64()), ("twice", pa.int64())])


def expressions(job: fj.Job) -> None:
    stream = (
        spread(job)
        .filter(fj.col("value") > 0)
        .with_columns(cents=fj.col("price") * 100, half=fj.col("level") / 2)
        .drop("level")
        .rename(number="n")
        .select("sensor", "n", "cents", "half", day=fj.col("at").dt.date())
    )
    job.write(stream, fj.show("out"))


def batches(job: fj.Job) -> None:
    job.write(spread(job).map_batches(doubled, returns=DOUBLED), fj.show("out"))


def row_functions(job: fj.Job) -> None:
    def words(row: Reading) -> Iterator[Told]:
        for n in range(row.value % 3):
            yield Told(row.sensor, f"{row.number} {n}")

    rows = spread(job)
    job.write(rows.map(lambda r: (r.sensor, r.number)), fj.show("objects"))
    job.write(rows.filter(lambda r: r.value % 2 == 0), fj.show("even"))
    job.write(rows.flat_map(words, returns=Told), fj.show("words"))
    told = rows.process(Sorted(), returns=Told).named("sorted")
    job.write(told, fj.show("small"))
    job.write(told.side(Sorted.large), fj.show("large"))


def ways(job: fj.Job) -> None:
    rows = spread(job)
    number = lambda s: s.select("number")
    job.write(number(rows.rebalance()), fj.show("rebalanced"))
    job.write(number(rows.rescale()), fj.show("rescaled"))
    job.write(number(rows.global_()), fj.show("global"))
    job.write(number(rows.partition_by(lambda n, of: n * 7 % of, "number")), fj.show("custom"))
    everywhere = rows.broadcast().map(lambda r: r.number).parallelism(2)
    job.write(everywhere, fj.show("everywhere"))


def unions(job: fj.Job) -> None:
    a, b, c = read(job, "a", 40), spread(job, "b", 60), read(job, "c", 30)
    job.write(a.union(b, c).select("sensor", "number"), fj.show("out"))


def other_times(job: fj.Job) -> None:
    later = read(job).with_columns(at=fj.col("at") + fj.lit(3 * HOUR))
    timed = later.with_event_time("at", max_delay=20 * MINUTE)
    job.write(timed.select("number", "at"), fj.show("out"))


JOBS = [
    golden("expressions", expressions),
    golden("batches", batches),
    golden("row_functions", row_functions),
    golden("ways", ways),
    golden("unions", unions),
    golden("other_times", other_times),
]
