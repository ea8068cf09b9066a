"""Lines of the processes of a cluster: JSON with all ids as fields, or for people; secrets are in neither."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.cluster.job_history import LogLine
from flowjob.cluster.pod_log import LONGEST, PodLog, RecordHandler, known_secrets, wants_json
from flowjob.core.redacting import REDACTED, redactor

AT = "2026-01-01T10:20:30.123Z"
LINE = LogLine(
    sequence=7, at=AT, message="hello", source="Slot", stream="stdout", slot=1, vertex=2, subtask=1, attempt=3,
    task_manager="tm-0", checkpoint=9, operator="map",
)  # fmt: skip


def log(stream: io.StringIO, *, as_json: bool = True, known: tuple[str, ...] = ()) -> PodLog:
    common = {"namespace": "team", "job": "flights", "process": "JobManager"}
    return PodLog(stream, common, as_json=as_json, redact=redactor(known))


def test_a_line_has_all_ids_as_fields() -> None:
    stream = io.StringIO()
    log(stream).line(LINE)
    assert json.loads(stream.getvalue()) == {
        "time": AT, "level": "INFO", "message": "hello", "namespace": "team", "job": "flights",
        "process": "JobManager", "source": "Slot", "stream": "stdout", "taskManager": "tm-0", "slot": 1,
        "vertex": 2, "operator": "map", "subtask": 1, "attempt": 3, "checkpoint": 9,
    }  # fmt: skip


def test_on_a_terminal_a_line_says_who_says_it() -> None:
    stream = io.StringIO()
    log(stream, as_json=False).line(LINE)
    assert stream.getvalue() == "10:20:30 INFO    map[1]: hello\n"


def test_log_records_of_all_libraries_come_in_the_same_form() -> None:
    stream = io.StringIO()
    logger = logging.Logger("boto3")
    logger.addHandler(RecordHandler(log(stream), lambda record: record.name == "covered"))
    try:
        raise ValueError("password=hunter2222")
    except ValueError:
        logger.exception("it failed with %s", "token=abcdefgh1")
    found = json.loads(stream.getvalue())
    assert (found["level"], found["logger"]) == ("ERROR", "boto3")
    assert found["message"] == f"it failed with token={REDACTED}"
    assert found["traceback"].endswith(f"ValueError: password={REDACTED}")
    assert "hunter" not in stream.getvalue()


def test_records_that_come_on_another_way_are_left_out() -> None:
    stream = io.StringIO()
    logger = logging.Logger("flowjob.jobmanager")
    logger.addHandler(RecordHandler(log(stream), lambda record: record.levelno >= logging.WARNING))
    logger.warning("covered")
    logger.info("told")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["told"]


def test_values_of_credentials_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("wJalrXUtnFEMI/K7\n")
    (tmp_path / "..data").mkdir()
    environment = {"DB_PASSWORD": "correct horse", "HOME": "/root/home"}
    known = known_secrets(environment, [str(tmp_path), None, "/nowhere"])
    stream = io.StringIO()
    log(stream, known=tuple(known)).line(
        LogLine(sequence=1, at=AT, message="it is correct horse", traceback="key wJalrXUtnFEMI/K7 in /root/home")
    )  # fmt: skip
    found = json.loads(stream.getvalue())
    assert found["message"] == f"it is {REDACTED}"
    assert found["traceback"] == f"key {REDACTED} in /root/home"


@given(st.text())
def test_whatever_is_said_is_one_line_that_can_be_read(message: str) -> None:
    stream = io.StringIO()
    log(stream).line(LogLine(sequence=1, at=AT, message=message))
    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert isinstance(json.loads(line), dict)


def test_what_is_no_unicode_is_written_all_the_same() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log(stream).line(LogLine(sequence=1, at=AT, message="a\udcff"))  # type: ignore[arg-type]
    stream.seek(0)
    assert json.loads(stream.read())["message"] == "a?"


def test_long_messages_are_cut_off() -> None:
    stream = io.StringIO()
    log(stream).line(LogLine(sequence=1, at=AT, message="x " * LONGEST))
    assert len(stream.getvalue()) < LONGEST + 500


def test_a_stream_that_nobody_reads_ends_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log(Gone()).line(LINE)


@pytest.mark.parametrize(
    ("environment", "terminal", "json_is_wanted"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"FLOWJOB_LOG_FORMAT": "text"}, False, False),
        ({"FLOWJOB_LOG_FORMAT": "JSON"}, True, True),
        ({"FLOWJOB_LOG_FORMAT": "colourful"}, True, False),
    ],
)
def test_pods_write_json_and_people_read_lines(
    environment: dict[str, str], terminal: bool, json_is_wanted: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream: Any = Stream()
    assert wants_json(stream, environment) is json_is_wanted
