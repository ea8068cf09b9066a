"""How a TaskManager gets slot processes, as protocols.

The real one forks them from a zygote (runtime/real/slot_processes.py); a simulation makes coroutines of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from flowjob.runtime.env import ControlConnection

OnOutput = Callable[[str, list[str]], Awaitable[None]]
"""Gets (`stdout` or `stderr`, lines). While it waits, the slot's printing is held back."""


class SlotProcess(Protocol):
    """One slot process, from its start until it is reaped."""

    @property
    def pid(self) -> int: ...

    @property
    def control(self) -> ControlConnection: ...

    async def wait(self) -> str:
        """After its end, once all it printed has been given to OnOutput: the reason, which continues a sentence
        (`was killed by signal 9 (SIGKILL)`)."""
        ...

    def kill(self) -> None:
        """SIGKILL; no error when it has already gone."""
        ...

    def dump_stacks(self) -> None:
        """Makes it print the stacks of all its threads to stderr."""
        ...


class SlotLauncher(Protocol):
    async def start(self, name: str, on_output: OnOutput) -> SlotProcess:
        """Raises OSError when no process could be had."""
        ...

    async def close(self) -> None:
        """Kills whatever still runs."""
        ...
