"""The programs under examples/ do what they say: as functions of streams, and as whole jobs from the command line."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowjob.testing import run, watermark

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports an example by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == EXAMPLES:
            del sys.modules[name]


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-01T{clock}").replace(tzinfo=UTC)


def test_an_hour_closes_when_the_watermark_passes_it(example: Any) -> None:
    hourly_delays = example("hourly_delays")

    def flight(origin: str, clock: str, delay: float) -> Any:
        return hourly_delays.Flight(origin, "AA", at(clock), delay)

    out = run(
        hourly_delays.hourly,
        [
            flight("JFK", "09:10", 5),
            flight("JFK", "09:50", 25),
            watermark(at("10:00")),
            flight("JFK", "12:30", 1),
            watermark(at("12:40")),
            flight("JFK", "09:15", 99),
        ],
        ends=False,
    )
    assert out.rows == [
        {
            "origin": "JFK",
            "window_start": at("09:00"),
            "window_end": at("10:00"),
            "departures": 2,
            "mean_delay": 15.0,
            "worst": 25.0,
        }
    ]
    assert [row["delay"] for row in out.late] == [99]


def test_expressions_and_row_functions_follow_each_other(example: Any) -> None:
    mixed = example("expressions_and_rows")
    out = run(mixed.scores, mixed.FLIGHTS)
    assert [row["tag"] for row in out.rows] == ["jfk-001", "ewr-032"]
    assert [round(row["score"], 3) for row in out.rows] == [1.792, 0.693]
    assert mixed.Tagged("JFK", "jfk-001", date(2013, 1, 1), 5.0) == mixed.tagged(
        mixed.Tagged("JFK", "", date(2013, 1, 1), 5.0)
    )


def test_a_large_payment_soon_after_a_small_one_is_an_alert(example: Any) -> None:
    fraud = example("fraud")
    script = [step for row in fraud.PAYMENTS for step in (row, watermark(row.at))]
    out = run(fraud.fraud, script)
    assert out.rows == [{"account": "anna", "amount": 900.0}]
    assert out.side(fraud.SmallThenLarge.alert_log) == ["anna 900.0"]


def test_rules_hold_for_payments_that_come_after_them(example: Any) -> None:
    control = example("control_stream")
    out = run(control.controlled, control.PAYMENTS, control.RULES)
    assert {(r["rule"], r["account"]) for r in out.rows} <= {
        ("large", "anna"),
        ("large", "carla"),
        ("huge", "carla"),
    }


def test_a_visit_ends_after_half_an_hour_of_silence(example: Any) -> None:
    sessions = example("sessions")
    visits = run(sessions.visits, sessions.CLICKS)
    assert sorted((r["user"], r["clicks"], r["pages"], r["median_ms"]) for r in visits.rows) == [
        ("anna", 1, 1, 90.0),
        ("anna", 3, 3, 200.0),
        ("boris", 1, 1, 80.0),
    ]
    paths = run(sessions.paths, sessions.CLICKS)
    assert sorted((r["user"], r["began"], r["pages"]) for r in paths.rows) == [
        ("anna", at("12:00"), "home > shoes > cart"),
        ("anna", at("13:10"), "home"),
        ("boris", at("12:01"), "home"),
    ]


def test_words_are_counted_as_they_come(example: Any) -> None:
    arguments = example("arguments")
    words = [arguments.Word(word) for word in ["to", "be", "or", "not", "to", "be"]]
    out = run(lambda stream: arguments.counted(stream, 2), words)
    assert [(r["word"], r["seen"]) for r in out.rows] == [("to", 2), ("be", 2)]


def flowjob(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flowjob.cli.main import main; main()", *arguments]
    return subprocess.run(
        command, cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["expressions_and_rows.py"], "jfk-001"),
        (["fraud.py", "-p", "2"], "anna"),
        (["control_stream.py", "-p", "2"], ""),
        (["sessions.py", "-p", "2"], "home > shoes > cart"),
        (["arguments.py", "--arg", "words=to be or not to be", "-a", "at_least=2"], "be"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_each_example_runs_from_the_command_line(arguments: list[str], shown: str) -> None:
    ended = flowjob("run", "--no-progress", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert shown in ended.stdout


@pytest.mark.slow
def test_wrong_arguments_are_refused_before_anything_starts() -> None:
    ended = flowjob("run", "arguments.py", "--arg", "word=x")
    assert ended.returncode == 2
    assert "`word` is unknown; did you mean `words`?" in ended.stderr
    assert "`words` (str) is missing" in ended.stderr


def test_importing_an_example_starts_nothing(example: Any) -> None:
    for path in EXAMPLES.glob("*.py"):
        example(path.stem)
