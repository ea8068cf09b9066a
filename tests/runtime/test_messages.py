"""The control plane's words on the wire: everything comes back, nothing else is taken."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.failures import ErrorInfo, ErrorKind
from flowjob.core.job_events import Address, TaskId, TaskPlace
from flowjob.errors import ProtocolError
from flowjob.runtime import codec
from flowjob.runtime import messages as m

CODECS = [m.to_taskmanager, m.to_jobmanager, m.to_slot, m.from_slot]


def test_messages_come_back_as_they_were() -> None:
    place = TaskPlace(TaskId(1, 0), 0, Address("::1", 5))
    deploy = m.DeployTasks(tasks=[TaskId(1, 0)], places=[place], generation=3, attempt=2)
    assert m.to_slot.decode(m.to_slot.encode(deploy)) == deploy
    error = ErrorInfo(ErrorKind.USER, "USER_CODE", "boom", row="{x: 1}", details=("a",))
    assert m.from_slot.decode(m.from_slot.encode(m.SlotError(error=error))) == m.SlotError(
        error=error
    )


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=200))
def test_garbage_is_a_protocol_error_and_nothing_else(codec: m.Codec[object], data: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(data)


def test_a_message_of_another_direction_is_refused() -> None:
    with pytest.raises(ProtocolError):
        m.to_slot.decode(m.from_slot.encode(m.TasksDeployed()))


def test_fields_of_a_newer_version_are_ignored() -> None:
    data = msgspec.msgpack.encode({"type": "TasksDeployed", "generation": 7, "mood": "good"})
    assert m.from_slot.decode(data) == m.TasksDeployed(generation=7)


def test_deeply_nested_bytes_do_not_exhaust_the_stack() -> None:
    with pytest.raises(ProtocolError):
        m.from_slot.decode(b"\x91" * 1_000_000)


def test_a_message_no_peer_would_take_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_MESSAGE", 100)
    with pytest.raises(ProtocolError, match="put large data into files"):
        m.from_slot.encode(m.SinkReport(task=TaskId(0, 0), sink="s", data=b"x" * 200))
