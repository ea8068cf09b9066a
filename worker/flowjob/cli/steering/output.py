"""How answers leave: text for people, JSON for programs, and progress on a terminal's stderr while work goes on.

Rich is imported only where something is drawn. It must not know what is asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowjob.cli.terminal_text import harmless
from flowjob.client.models import Operation

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 200
"""Columns of what goes to a file or a pipe: it is cut nowhere that matters."""

LOOK_AGAIN = 2.0
"""Seconds, with --watch."""


def print_json(value: Any) -> None:
    """One document, indented."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def console() -> Console:
    """On stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def show(look: Callable[[], RenderableType], *, watch: bool) -> None:
    """Prints it; with `watch` in place, again and again, until Ctrl-C."""
    out = console()
    if not watch:
        out.print(look())
        return
    import time

    from rich.live import Live

    try:
        with Live(look(), console=out, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                time.sleep(LOOK_AGAIN)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        return


@contextmanager
def progress(text: str, *, quiet: bool) -> Iterator[Callable[[Operation], None] | None]:
    """What is to be told how far an operation is: a bar on a terminal, a line for each step elsewhere, or nothing."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        yield from _bar(text)
    else:
        yield _lines(text)


def _lines(text: str) -> Callable[[Operation], None]:
    said: list[str] = []

    def tell(operation: Operation) -> None:
        step = harmless(operation.progress.step or operation.state)
        if not operation.is_over and said != [step]:
            said[:] = [step]
            print(f"{text}: {step}", file=sys.stderr, flush=True)

    return tell


def _bar(text: str) -> Iterator[Callable[[Operation], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)

        def tell(operation: Operation) -> None:
            step = harmless(operation.progress.step or operation.state)
            share = operation.progress.share
            bar.update(task, description=f"{text}: {step}")
            if share is not None:
                bar.update(task, total=1.0, completed=share)

        yield tell


def ago(time: str | None, now: datetime | None = None) -> str:
    """`12 s`, `3 min`, `5 h`, `2 d` since an RFC 3339 time; `–` for none."""
    if not time:
        return "–"
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return time
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return duration(((now or datetime.now(UTC)) - then).total_seconds())


def duration(seconds: float) -> str:
    """Short, in one unit."""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    if seconds >= 10:
        return f"{seconds:.0f} s"
    return f"{max(0.0, seconds):.1f} s"


def size(count: float | None) -> str:
    """`1.2 MB`; `–` for none."""
    if count is None:
        return "–"
    for length, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count:.0f} B"
