"""Draws a running job: a live table where there is a terminal, a plain line now and then where there is none.

Always on stderr, so that what a job prints can be piped. Takes lines from cli/progress.py; it must not know where
they come from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TextIO

from flowjob.cli.progress import Line
from flowjob.cli.tables import format_count, format_share, format_time
from flowjob.core.elements import MAX_TIME

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""

MAX_NAME = 46
"""Characters of an operator's name; the plan (`flowjob explain`) has all of them."""


class ProgressView(Protocol):
    """Where lines go while a job runs."""

    def show(self, lines: Sequence[Line], elapsed: float) -> None:
        """The job now, `elapsed` seconds after its start."""
        ...

    def say(self, text: str) -> None:
        """Something that happened, once."""
        ...

    def finish(self, lines: Sequence[Line], elapsed: float) -> None:
        """The job at its end; nothing is shown after."""
        ...

    def close(self) -> None:
        """Ends the view as it is."""
        ...


class NoView:
    """Shows nothing of the job's progress, and says what happens to it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def show(self, lines: Sequence[Line], elapsed: float) -> None: ...

    def finish(self, lines: Sequence[Line], elapsed: float) -> None: ...

    def close(self) -> None: ...


class PlainView:
    """A line for the whole job every few seconds, and the table at the end; for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0.0

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def show(self, lines: Sequence[Line], elapsed: float) -> None:
        if elapsed - self._shown >= PLAIN_EVERY:
            self._shown = elapsed
            print(plain_line(lines, elapsed), file=self._out, flush=True)

    def finish(self, lines: Sequence[Line], elapsed: float) -> None:
        from rich.console import Console

        if lines:
            Console(file=self._out, width=120).print(progress_table(lines, elapsed))

    def close(self) -> None: ...


class LiveView:
    """A table that is redrawn in place and stays as it was at the end."""

    def __init__(self, console: Console, *, shares_stdout: bool) -> None:
        self._console = console
        self._shares_stdout = shares_stdout
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def show(self, lines: Sequence[Line], elapsed: float) -> None:
        from rich.live import Live

        table = progress_table(lines, elapsed)
        if self._live is None:
            # On one terminal, what is printed must go above the table; a piped stdout stays untouched.
            self._live = Live(
                table,
                console=self._console,
                auto_refresh=False,
                redirect_stdout=self._shares_stdout,
            )
            self._live.start()
        self._live.update(table, refresh=True)

    def finish(self, lines: Sequence[Line], elapsed: float) -> None:
        if lines:
            self.show(lines, elapsed)
        self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_table(lines: Sequence[Line], elapsed: float) -> Table:
    """One row per operator; those of one chain hang together."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{format_elapsed(elapsed)}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    # Where a terminal is too narrow, the names give way and the figures stay.
    table.add_column("operator", no_wrap=True, overflow="ellipsis", max_width=MAX_NAME)
    for name, width in (("×", 1), ("rows in", 9), ("rows out", 9), ("rows/s", 7)):
        table.add_column(name, justify="right", min_width=width, no_wrap=True)
    table.add_column("watermark", min_width=9, no_wrap=True)
    for name in ("busy", "blocked"):
        table.add_column(name, justify="right", min_width=len(name), no_wrap=True)
    table.add_column("", no_wrap=True)
    for position, line in enumerate(lines):
        last = position + 1 == len(lines) or lines[position + 1].depth == 0
        table.add_row(*(Text(cell) for cell in _cells(line, last_of_chain=last)))
    return table


def _cells(line: Line, *, last_of_chain: bool) -> tuple[str, ...]:
    branch = "" if line.depth == 0 else "└ " if last_of_chain else "├ "
    is_head = line.depth == 0
    return (
        branch + line.name,
        str(line.parallelism) if is_head else "",
        f"{line.rows_in:,}" if line.rows_in or not is_head else "",
        f"{line.rows_out:,}" if line.rows_out or not line.rows_in else "",
        format_count(line.rate) if line.rate is not None else "",
        format_watermark(line.watermark) if is_head else "",
        format_share(line.busy),
        format_share(line.blocked),
        notes(line),
    )


def notes(line: Line) -> str:
    """What should catch the eye: rows that were late or could not be read."""
    parts = []
    if line.late:
        parts.append(f"{line.late:,} late")
    if line.bad:
        parts.append(f"{line.bad:,} bad")
    return ", ".join(parts)


def plain_line(lines: Sequence[Line], elapsed: float) -> str:
    """The whole job in one line of text."""
    parts = [
        f"{line.name} {format_count(line.rows_in or line.rows_out)} rows"
        + (f" ({format_count(line.rate)}/s)" if line.rate is not None and not line.ended else "")
        for line in lines
        if line.depth == 0
    ]
    marks = [line.watermark for line in lines if line.depth == 0 and line.watermark is not None]
    if marks:
        parts.append(f"watermark {format_watermark(min(marks))}")
    return f"[{format_elapsed(elapsed)}] {' | '.join(parts)}"


def format_watermark(watermark: int | None) -> str:
    """`2013-01-31 18:00`, `end` after all input, nothing before the first."""
    if watermark is None:
        return ""
    if watermark >= MAX_TIME:
        return "end"
    try:
        whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=watermark // 1_000_000)
    except OverflowError:
        return f"{watermark:,} µs"
    return format_time(whole)


def format_elapsed(seconds: float) -> str:
    """`3.2 s`, `1:05`, `2:03:09`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
