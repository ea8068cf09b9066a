"""The judge of the chaos tests sees what it is there to see: each kind of loss, in results that are otherwise right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.recovery import store, verifier
from tests.recovery.verified_job import KEYS, SPLITS, START, STEP, WINDOW

ROWS = 600
Line = dict[str, Any]


def written(out: Path) -> dict[str, list[Line]]:
    """What the verified job writes, sink by sink."""
    windows: dict[tuple[int, datetime], list[int]] = {}
    seen = []
    for n in range(ROWS):
        windows.setdefault((n % KEYS, START + (n * STEP // WINDOW + 1) * WINDOW), []).append(n)
        seen.append({"key": n % KEYS, "n": n, "ordinal": n // KEYS + 1, "rows": 0, "total": 0})
        seen[-1]["at"] = str(START + n * STEP)
    results = [
        {"key": key, "at": str(end), "rows": len(ns), "total": sum(ns)}
        for (key, end), ns in windows.items()
    ]
    return {
        "rows": [{"n": n, "split": n % SPLITS} for n in range(ROWS)],
        "seen": [*seen, *({**r, "n": -1, "ordinal": 0} for r in results)],
        "windows": [{**r, "window_end": r["at"]} for r in results],
    }


def judged(out: Path, sinks: dict[str, list[Line]]) -> list[str]:
    for name, lines in sinks.items():
        (out / name).mkdir()
        half = len(lines) // 2
        for number, part in enumerate((lines[:half], lines[half:])):
            text = "".join(json.dumps(line) + "\n" for line in part)
            (out / name / f"part-run-1-0000-{number:05d}.jsonl").write_text(text)
    return verifier.problems(out, ROWS, "run")


def test_right_results_are_right(tmp_path: Path) -> None:
    assert judged(tmp_path, written(tmp_path)) == []


@pytest.mark.parametrize(
    ("sink", "change", "said"),
    [
        ("rows", lambda lines: lines.pop(17), "rows: 1 lost: 17"),
        ("rows", lambda lines: lines.append(lines[-1]), "rows: 1 too often: 599"),
        ("rows", lambda lines: lines.insert(9, lines.pop(5)), "rows: 5 in .* comes after 9"),
        ("seen", lambda lines: lines.pop(17), "seen: 1 lost: 17"),
        ("seen", lambda lines: lines[30].update(ordinal=1), "ordinals of key 4: 1 lost: 3"),
        ("seen", lambda lines: lines.pop(), "timers: 1 lost"),
        ("windows", lambda lines: lines[0].update(rows=1), "windows: 1 lost"),
        ("windows", lambda lines: lines.append(lines[3]), "windows: 1 too often"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, sink: str, change: Callable[[list[Line]], object], said: str
) -> None:
    sinks = written(tmp_path)
    change(sinks[sink])
    found = judged(tmp_path, sinks)
    assert any(re.match(said, problem) for problem in found), found


def test_hidden_files_of_the_last_run_are_left_behind(tmp_path: Path) -> None:
    assert judged(tmp_path, written(tmp_path)) == []
    (tmp_path / "rows" / ".part-run-1-0000-00009.jsonl.inprogress").touch()
    (tmp_path / "rows" / ".part-other-1-0000-00009.jsonl.inprogress").touch()
    assert verifier.problems(tmp_path, ROWS, "run") == [
        "left behind: rows/.part-run-1-0000-00009.jsonl.inprogress"
    ]


def entry(record: Line) -> bytes:
    return json.dumps({"record": record, "summary": None}).encode()


def objects() -> dict[str, bytes]:
    """A store in which checkpoint 7 is retained and 6 has been retired."""
    commit = {"record": "commit", "generation": 1}
    records: list[Line] = [
        {"record": "claim", "generation": 1},
        {"record": "begin", "generation": 1, "run": "r"},
        {**commit, "snapshot": 6, "manifest": "checkpoints/6/g1/manifest.json"},
        {**commit, "snapshot": 7, "manifest": "checkpoints/7/g1/manifest.json"},
        {"record": "retire", "generation": 1, "snapshot": 6},
    ]
    found = {f"j/log/{i:012d}.json": entry(r) for i, r in enumerate(records, start=1)}
    manifest = {"tasks": [{"operators": [{"parts": [{"object": "0-0"}, {"object": ""}]}]}]}
    found["j/checkpoints/7/g1/manifest.json"] = json.dumps(manifest).encode()
    found["j/checkpoints/7/g1/0-0"] = b""
    return found


def test_a_store_with_what_is_needed_is_clean() -> None:
    assert list(store.leaks(objects(), "j", 1)) == []
    assert store.last_run(objects(), "j") == "r"


def test_what_is_missing_or_needless_in_a_store_is_said() -> None:
    found = objects()
    del found["j/checkpoints/7/g1/0-0"]
    found["j/checkpoints/6/g1/0-0"] = b""
    assert list(store.leaks(found, "j", 1)) == [
        "j/checkpoints/7/g1/0-0 is needed by a checkpoint and gone",
        "leaked object: j/checkpoints/6/g1/0-0",
    ]
