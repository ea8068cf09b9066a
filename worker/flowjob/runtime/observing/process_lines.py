"""Lines of the job's log about its processes: what TaskManagers say of themselves, and how slots come and go.

From messages and events as they reach the JobManager; bounded by the ring that they go into. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from flowjob.cluster.job_history import LogLevel, LogLine
from flowjob.core.job_events import (
    Event,
    SlotExited,
    SlotReady,
    SlotStarted,
    TaskManagerLost,
    TaskManagerRegistered,
)
from flowjob.runtime.jobmanager.viewing import when
from flowjob.runtime.messages import TaskManagerAlive

LOGGER = "flowjob.taskmanager"
_LEVELS: dict[str, LogLevel] = {level: level for level in get_args(LogLevel)}
_WELL = "exited with status 0"


def said_lines(taskmanager: str, message: TaskManagerAlive) -> Iterator[LogLine]:
    """What a TaskManager says of itself. Attempts are as the engine counts them."""
    for line in message.lines:
        text, _, traceback = line.text.partition("\nTraceback (most recent call last):")
        yield LogLine(
            sequence=0,
            at=when(line.at),
            level=_LEVELS.get(line.level, "INFO"),
            logger=line.logger,
            message=text,
            source="TaskManager",
            task_manager=taskmanager,
            slot=None if line.slot < 0 else line.slot,
            attempt=line.attempt or None,
            traceback=f"Traceback (most recent call last):{traceback}" if traceback else "",
        )


def line_of(event: Event, at: str, place: Callable[[int], str | None]) -> LogLine | None:
    """How a process came or went. `place`: the TaskManager of a slot."""
    match event:
        case TaskManagerRegistered(taskmanager=name, slots=count):
            return _line(at, name, f"has come, with {count} slots")
        case TaskManagerLost(taskmanager=name, reason=reason):
            return _line(at, name, f"is gone: it {reason}", level="WARNING")
        case SlotStarted(slot=slot, pid=pid):
            return _line(at, place(slot), f"slot {slot} has begun: pid {pid}", slot)
        case SlotReady(slot=slot, address=address):
            text = f"slot {slot} is ready: it listens at {address.host}:{address.port}"
            return _line(at, place(slot), text, slot)
        case SlotExited(slot=slot, reason=reason):
            level: LogLevel = "INFO" if reason == _WELL else "WARNING"
            return _line(at, place(slot), f"slot {slot} {reason}", slot, level)
        case _:
            return None


def _line(
    at: str, taskmanager: str | None, text: str, slot: int | None = None, level: LogLevel = "INFO"
) -> LogLine:
    return LogLine(
        sequence=0,
        at=at,
        level=level,
        logger=LOGGER,
        message=text if slot is not None else f"{taskmanager} {text}",
        source="TaskManager",
        task_manager=taskmanager,
        slot=slot,
    )
