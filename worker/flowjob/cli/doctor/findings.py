"""What a check says, and how checks are run: one after the other, none able to end the others.

Pure but for the checks themselves, which are machine.py's, storing.py's and reaching.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

Verdict = Literal["ok", "warning", "problem", "skipped"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one check. `advice`: what to do; empty where nothing has to be done."""

    check: str
    verdict: Verdict
    text: str
    advice: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(check: str, text: str) -> Finding:
    return Finding(check=check, verdict="ok", text=text)


def skipped(check: str, text: str, advice: str = "") -> Finding:
    return Finding(check=check, verdict="skipped", text=text, advice=advice)


def warning(check: str, text: str, advice: str) -> Finding:
    return Finding(check=check, verdict="warning", text=text, advice=advice)


def problem(check: str, text: str, advice: str) -> Finding:
    return Finding(check=check, verdict="problem", text=text, advice=advice)


def findings_of(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """All of them, in order, as they come. A check that raises is a finding too: a doctor must not faint."""
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next check matters as well
            yield problem(name, f"could not be checked: {error!r}", "Report it: this is a defect")
