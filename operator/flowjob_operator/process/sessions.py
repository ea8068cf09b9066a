"""An HTTP client has one session, from entering to leaving it: connections are kept, and closed at the end.

Knows nothing of what is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import aiohttp


class WithSession(ABC):
    """Use it as an async context manager."""

    _opened: aiohttp.ClientSession | None = None

    @abstractmethod
    def _open(self) -> aiohttp.ClientSession: ...

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError("not opened: use `async with`")
        return self._opened

    async def __aenter__(self) -> Self:
        self._opened = self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
