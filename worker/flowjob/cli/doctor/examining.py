"""Runs all checks and shows what they find, as they find it; status 1 when there is a problem.

What is checked is machine.py's, storing.py's and reaching.py's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import typer

from flowjob.cli.doctor import machine
from flowjob.cli.doctor.findings import Check, Finding, findings_of
from flowjob.cli.exits import EXIT_FAILED
from flowjob.cli.steering.output import print_json
from flowjob.cli.steering.where import Where

MARKS = {"ok": "ok", "warning": "warn", "problem": "FAIL", "skipped": "–"}
COLOURS = {"ok": "32", "warning": "33", "problem": "1;31", "skipped": "2"}


def examine(where: Where, checkpoints: str | None, endpoint: str | None) -> None:
    """Everything; raises typer.Exit with status 1 when something stands in the way of jobs."""
    found = []
    for finding in findings_of(_checks(where, checkpoints, endpoint)):
        found.append(finding)
        if not where.json:
            for line in lines_of(finding, coloured=sys.stdout.isatty()):
                print(line, flush=True)
    if where.json:
        print_json(found)
    if any(finding.verdict == "problem" for finding in found):
        raise typer.Exit(EXIT_FAILED)


def _checks(where: Where, place: str | None, endpoint: str | None) -> Iterator[tuple[str, Check]]:
    yield "python", machine.python
    yield "packages", machine.packages
    yield "kernels", machine.kernels
    yield "processors", machine.processors
    yield "temporary space", machine.temporary_space
    yield "open files", machine.open_files
    yield "checkpoints", partial(_storing, place, endpoint)
    yield "service", partial(_service, where)
    yield "cluster", partial(_cluster, where)


# What these import may be what is broken: it is imported within the check.


def _storing(place: str | None, endpoint: str | None) -> Iterator[Finding]:
    from flowjob.cli.doctor.storing import checkpoints

    return checkpoints(place, endpoint)


def _service(where: Where) -> Iterator[Finding]:
    from flowjob.cli.doctor.reaching import service

    return service(where)


def _cluster(where: Where) -> Iterator[Finding]:
    from flowjob.cli.doctor.reaching import cluster
    from flowjob.client.kubectl import Kubectl

    return cluster(where, Kubectl(where.context, where.kubeconfig))


def lines_of(finding: Finding, *, coloured: bool) -> list[str]:
    """`ok    python: 3.11.9`, and below what to do."""
    mark = f"{MARKS[finding.verdict]:<5}"
    if coloured:
        mark = f"\x1b[{COLOURS[finding.verdict]}m{mark}\x1b[0m"
    lines = [f"{mark} {finding.check}: {finding.text}"]
    return lines + ([f"      -> {finding.advice}"] if finding.advice else [])
