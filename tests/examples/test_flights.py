"""The flights example on the real data: DuckDB computes the same from the same files."""

from __future__ import annotations

import fcntl
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from flowjob.entrypoint import load, locate

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "examples" / "flights" / "flights.py"
PREPARE = SCRIPT.with_name("prepare.py")
DATA = ROOT / "data" / "flights"

HOURLY = """
    select origin, strftime(scheduled, '%Y-%m-%d %H:%M'), count(*), avg(dep_delay), max(dep_delay)
    from flights where dep_time is not null and not impossible group by all order by all
"""
IMPOSSIBLE = "select flight, carrier, origin from flights where impossible order by all"


@pytest.fixture(scope="module")
def data() -> Path:
    """The real flights, fetched once, as `make data` does."""
    with lock(DATA):
        subprocess.run([sys.executable, str(PREPARE), str(DATA)], check=True)
    return DATA


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Test processes beside each other wait for the one that fetches."""
    directory.parent.mkdir(exist_ok=True)
    with open(directory.parent / f".{directory.name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("flights", None)


def expected(pattern: Path, query: str) -> list[tuple[Any, ...]]:
    """What DuckDB makes of the same files."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            create view flights as select *,
                cast(replace(rtrim(time_hour, 'Z'), 'T', ' ') as timestamp) as scheduled,
                coalesce(distance / (air_time / 60.0) > 600 or dep_delay < -30
                         or dep_delay > 1440 or distance < 50, false) as impossible
            from read_csv('{pattern}', types = {{'time_hour': 'VARCHAR'}})
            """
        )
        return connection.execute(query).fetchall()


def written(directory: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(query.format(directory)).fetchall()


def lines(directory: Path) -> list[dict[str, Any]]:
    """The rows of all JSON Lines files of a sink; a sink without rows writes none."""
    texts = [p.read_text() for p in directory.glob("*.jsonl")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def run_over(pattern: Path, out: Path, **options: Any) -> None:
    entrypoint = locate(str(SCRIPT), {"source": str(pattern), "out": str(out)}, ROOT)
    load(entrypoint).run(**options)


def check(pattern: Path, out: Path) -> None:
    hourly = written(
        out,
        "select origin, strftime(window_start at time zone 'UTC', '%Y-%m-%d %H:%M'), departures, mean_delay, worst "
        "from '{}/hourly/*.parquet' order by all",
    )
    wanted = expected(pattern, HOURLY)
    assert [row[:3] for row in hourly] == [row[:3] for row in wanted]
    for got, want in zip(hourly, wanted, strict=True):
        assert math.isclose(got[3], want[3], rel_tol=1e-9)
        assert got[4] == want[4]
    suspects = [(row["flight"], row["carrier"], row["origin"]) for row in lines(out / "impossible")]
    assert sorted(suspects) == expected(pattern, IMPOSSIBLE)
    assert lines(out / "late") == lines(out / "rejected") == []


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", [1, 4])
def test_the_whole_year_agrees_with_duckdb(
    data: Path, flights: ModuleType, tmp_path: Path, parallelism: int
) -> None:
    run_over(data / "*.csv", tmp_path, parallelism=parallelism)
    check(data / "*.csv", tmp_path)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("parallelism", "batch_rows", "rows"),
    [(1, 1, 1_000), (1, 7, 5_000), (2, 1, 1_000), (4, 7, 5_000)],
)
def test_small_batches_agree_with_duckdb(
    data: Path, flights: ModuleType, tmp_path: Path, parallelism: int, batch_rows: int, rows: int
) -> None:
    """Over some days of May, cut into two files."""
    header, *month = (data / "flights-2013-05.csv").read_text().splitlines(keepends=True)
    for number, part in enumerate((month[: rows // 2], month[rows // 2 : rows])):
        (tmp_path / f"days-{number}.csv").write_text("".join([header, *part]))
    run_over(
        tmp_path / "days-*.csv",
        tmp_path / "out",
        parallelism=parallelism,
        run={"batch_rows": batch_rows},
    )
    check(tmp_path / "days-*.csv", tmp_path / "out")
