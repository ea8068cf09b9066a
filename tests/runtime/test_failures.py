"""A worker's exception as its user sees it in the client."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob import errors
from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Cancelled, Failed, Lost, Succeeded
from flowjob.runtime.failures import describe, to_exception, user_traceback


def fail(x: int) -> float:
    return 1 / x


def caught() -> BaseException:
    try:
        fail(0)
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_the_users_traceback_shows_their_frames_and_not_ours() -> None:
    scope: dict[str, Any] = {}
    exec(compile("def ours(f): return f(0)", errors.__file__, "exec"), scope)  # noqa: S102 - a frame as of our package
    with pytest.raises(ZeroDivisionError) as raised:
        scope["ours"](fail)
    shown = user_traceback(raised.value)
    assert "in fail" in shown
    assert "in ours" not in shown


def test_a_user_error_comes_back_with_traceback_operator_and_row() -> None:
    raised = errors.UserCodeFailed(
        user_traceback=user_traceback(caught()), operator="map", row="{x: 0}", subtask=3
    )
    info = describe(raised)
    assert (info.kind, info.message) == (ErrorKind.USER, "ZeroDivisionError: division by zero")
    back = to_exception(Failed(info, "slot 3 of a"))
    assert isinstance(back, errors.UserCodeFailed)
    assert str(back) == str(raised)


def test_malformed_input_is_the_cause_of_the_job_failure() -> None:
    bad = errors.MalformedInput("not a number", location="a.csv:17", text="x,y")
    back = to_exception(Failed(describe(bad), "slot 0 of a"))
    assert isinstance(back, errors.JobFailed)
    assert isinstance(back.__cause__, errors.MalformedInput)
    assert back.__cause__.location == "a.csv:17"
    assert "a.csv:17" in str(back)


@pytest.mark.parametrize(
    "error", [ConnectionResetError("x"), errors.ProtocolError("x"), BrokenPipeError()]
)
def test_a_lost_peer_is_a_symptom(error: Exception) -> None:
    assert describe(error).kind is ErrorKind.CONNECTION


def test_a_defect_of_ours_keeps_its_whole_traceback() -> None:
    info = describe(caught())
    assert info.kind is ErrorKind.ENGINE
    assert "in caught" in info.traceback


def test_outcomes_become_exceptions_of_their_class() -> None:
    assert to_exception(Succeeded()) is None
    assert isinstance(to_exception(Cancelled("Ctrl-C")), errors.JobCancelled)
    lost = to_exception(Lost("slot 1 was killed"), ("slot 2 of a",))
    assert isinstance(lost, errors.WorkerLost)
    assert str(lost) == "slot 1 was killed\nstill alive after SIGKILL: slot 2 of a"


def test_a_text_too_long_to_carry_keeps_both_ends() -> None:
    info = describe(errors.JobFailed("a" * 50_000 + "z"))
    assert len(info.message) < 21_000
    assert info.message.endswith("z")
    assert isinstance(info, ErrorInfo)
