"""What a real JobManager and a real TaskManager write: JSON, with the ids of whoever says it, and without secrets."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.pods import PROGRAM, Pods

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SAYS = """
import logging

def look(row: Row) -> bool:
    if row.value % 100 == 0:
        print("row", row.value, "with password=hunter2-hunter2")
        logging.getLogger("mine").warning("odd: %d", row.value)
    return True
"""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    found = Pods(tmp_path, rows=400)
    program = PROGRAM.replace("class Args", SAYS + "\nclass Args").replace(
        "counted = read.select", "counted = read.filter(look).select"
    )
    (tmp_path / "counted.py").write_text(program.replace("OUT", str(tmp_path / "out")))
    yield found
    found.end()


def test_lines_are_json_with_all_ids_and_metrics_are_told(pods: Pods) -> None:
    leader = pods.jobmanager()
    worker = pods.taskmanager(0)
    pods.until(pods.has_completed(1))
    url = f"http://127.0.0.1:{pods.probe}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        told = answer.read().decode()
    assert "flowjob_checkpoint_phase_seconds" in told
    assert "flowjob_vertex_state_bytes" in told
    pods.until(pods.is_in("Finished"))
    lines = said(pods.until(lambda: succeeded(pods.said(leader))))
    for line in lines:
        assert (line["namespace"], line["job"], line["process"]) == ("data", "counted", "JobManager")  # fmt: skip
        assert line["time"]
        assert line["level"]
    printed = [line for line in lines if line.get("stream") == "stdout"]
    assert [line["message"] for line in printed] == [
        f"row {n} with password=[redacted]" for n in (0, 100, 200, 300)
    ]
    logged = [line for line in lines if line.get("logger") == "mine"]
    assert [(line["message"], line["level"]) for line in logged] == [
        (f"odd: {n}", "WARNING") for n in (0, 100, 200, 300)
    ]
    for line in printed + logged:
        assert (line["source"], line["subtask"], line["attempt"]) == ("Slot", 0, 1)
        assert line["taskManager"] == "counted-tm-0"
        assert "filter" in line["operator"]
    assert said(pods.said(worker)) == []


def succeeded(text: str) -> str | None:
    return text if "succeeded" in text else None


def said(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
