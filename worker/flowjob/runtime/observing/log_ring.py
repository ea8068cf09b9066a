"""The newest log lines of a job's processes, in bounded memory: to be read from the end, and followed.

Lines that come faster than a person could read are dropped and counted, by source: one that prints without end must not
push out what the others say. It must not know where lines come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec.structs

from flowjob.cluster.job_details import MOST_LINES, LogQuery
from flowjob.cluster.job_history import LogLine, Logs
from flowjob.core.redacting import by_looks
from flowjob.runtime.observing.bell import Bell
from flowjob.runtime.observing.rings import Ring

KEPT = 20_000
BUDGET = 4 << 20
"""Characters of all lines together."""

LONGEST = 4_000
"""Characters of a line; the rest is cut off."""

PER_SECOND, AT_ONCE = 200.0, 2_000.0
"""Lines of one source: so many per second in the long run, and so many in a burst."""

_RANK = {name: rank for rank, name in enumerate(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))}


class _Allowance:
    """A bucket that fills with time."""

    def __init__(self, now: float) -> None:
        self._left = AT_ONCE
        self._at = now

    def take(self, now: float) -> bool:
        self._left = min(AT_ONCE, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class LogRing:
    """`bell` rings when there are new ones; `also` is called with each that is taken. `redact` takes secrets out of
    them (core/redacting.py)."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.also: Callable[[LogLine], None] | None = None
        self.redact: Callable[[str], str] = by_looks
        self._ring: Ring[LogLine] = Ring(KEPT, BUDGET)
        self._allowances: dict[str, _Allowance] = {}
        self._too_many = 0

    @property
    def dropped(self) -> int:
        """Too many at once, or too old by now."""
        return self._too_many + self._ring.dropped

    @property
    def weight(self) -> int:
        return self._ring.weight

    def missed(self, count: int) -> None:
        """So many were dropped on their way."""
        self._too_many += count

    def add(self, source: str, lines: Iterable[LogLine], now: float) -> None:
        """`source`: whose allowance they use; sequence numbers are given here. `now`: seconds."""
        allowance = self._allowances.get(source)
        if allowance is None:
            allowance = self._allowances[source] = _Allowance(now)
            while len(self._allowances) > 1_000:
                del self._allowances[next(iter(self._allowances))]
        for line in lines:
            if not allowance.take(now):
                self._too_many += 1
                continue
            message, traceback = self._shown(line.message), self._shown(line.traceback)
            number = self._ring.last + 1
            kept = msgspec.structs.replace(
                line, sequence=number, message=message, traceback=traceback
            )
            self._ring.add(kept, len(message) + len(traceback) + 100)
            if self.also is not None:
                self.also(kept)
        self.bell.ring()

    def _shown(self, text: str) -> str:
        """Secrets may stand across where it is cut off: they are looked for in a little more."""
        shown = self.redact(text[: LONGEST + 200])
        return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"

    def answer(self, query: LogQuery) -> Logs:
        """At once, whatever `wait` says."""
        limit = min(max(query.limit, 1), MOST_LINES)
        if query.after is None:
            found = [line for _, line in self._newest(query, limit)][::-1]
            after = self._ring.last
        else:
            found, after = self._behind(query, min(query.after, self._ring.last), limit)
        return Logs(lines=found, first=self._ring.first, next=after, dropped=self.dropped)

    def _newest(self, query: LogQuery, limit: int) -> list[tuple[int, LogLine]]:
        found = []
        for number, line in self._ring.newest_first():
            if is_wanted(query, line):
                found.append((number, line))
                if len(found) == limit:
                    break
        return found

    def _behind(self, query: LogQuery, after: int, limit: int) -> tuple[list[LogLine], int]:
        found: list[LogLine] = []
        for number, line in self._ring.behind(after):
            after = number
            if is_wanted(query, line):
                found.append(line)
                if len(found) == limit:
                    break
        return found, after


def is_wanted(query: LogQuery, line: LogLine) -> bool:
    """Whether the line is one that is asked for."""
    if _RANK[line.level] < _RANK[query.level]:
        return False
    if query.vertex is not None and line.vertex != query.vertex:
        return False
    if query.subtask is not None and line.subtask != query.subtask:
        return False
    if query.source is not None and line.source != query.source:
        return False
    return not query.text or query.text.casefold() in line.message.casefold()
