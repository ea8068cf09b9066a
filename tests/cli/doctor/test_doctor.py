"""flowjob doctor: each thing that can be wrong is found, said in a line, and has its remedy; nothing is left behind."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowjob.cli.doctor import examining, machine, reaching, storing
from flowjob.cli.doctor.findings import Finding, findings_of, ok, problem, skipped, warning
from flowjob.cli.everything import app
from flowjob.cli.steering.where import Where
from flowjob.client.models import JobList, Session
from flowjob.errors import NotAllowed, NotFound, ServiceUnreachable
from flowjob.runtime.storage import conditional_create


def only(found: Iterator[Finding]) -> Finding:
    (finding,) = found
    assert finding.advice or finding.verdict == "ok"
    return finding


# -- this machine


def test_this_interpreter_and_its_packages_are_well() -> None:
    assert only(machine.python()).verdict == "ok"
    found = only(machine.packages())
    assert found.verdict == "ok"
    assert "pyarrow" in found.text


def test_an_old_interpreter_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 10, 4, "final", 0))
    assert only(machine.python()).verdict == "problem"


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"pyarrow": "17.0.0", "numpy": "1.26"}

    def version(name: str) -> str:
        if name not in have:
            raise machine.importlib.metadata.PackageNotFoundError(name)
        return have[name]

    needed = ["pyarrow>=18", "numpy>=1.26", "numba>=0.60", "uvicorn>=1; extra == 'api'"]
    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: needed)
    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    found = [(f.verdict, f.text) for f in machine.packages()]
    assert found == [
        ("problem", "pyarrow is 17.0.0, 18 or newer is needed"),
        ("problem", "numba is not installed, 0.60 or newer is needed"),
    ]


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        (0, "53\t/cache", "ok"),
        (1, "Traceback\nflowjob.kernels.compile.KernelNotCompiled: kernel x", "warning"),
        (1, "ImportError: no numba", "problem"),
        (-9, "", "problem"),
    ],
)
def test_kernels_are_tried_in_another_process(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str, verdict: str
) -> None:
    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        assert env["FLOWJOB_KERNELS"] == "require"
        return subprocess.CompletedProcess(command, status, said, said)

    monkeypatch.setattr(subprocess, "run", run)
    assert only(machine.kernels()).verdict == verdict


def test_kernels_that_take_for_ever_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], *, timeout: float, **_: Any) -> Any:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    assert only(machine.kernels()).verdict == "warning"


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 << 30, "ok"), (1 << 30, "warning"), (1 << 20, "problem")]
)
def test_temporary_space_is_measured(
    monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, free))
    assert only(machine.temporary_space()).verdict == verdict


def test_temporary_space_that_cannot_be_written_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    found = only(machine.temporary_space())
    assert (found.verdict, "TMPDIR" in found.advice) == ("problem", True)


@pytest.mark.parametrize(
    ("soft", "verdict"),
    [(resource.RLIM_INFINITY, "ok"), (65536, "ok"), (1024, "warning"), (256, "problem")],
)
def test_open_files_are_counted(monkeypatch: pytest.MonkeyPatch, soft: int, verdict: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 524288))
    assert only(machine.open_files()).verdict == verdict


# -- the place of checkpoints


def test_a_place_that_is_there_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    assert only(storing.checkpoints(str(tmp_path), None)).verdict == "ok"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_place_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    found = only(storing.checkpoints(str(tmp_path / "a" / "b"), None))
    assert (found.verdict, "can be made" in found.text) == ("ok", True)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_keep_its_promise_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def fails(*_: Any) -> None:
        raise conditional_create.StorageError("it replaces what is there")

    monkeypatch.setattr(storing, "prove_conditional_create", fails)
    found = only(storing.checkpoints(str(tmp_path), None))
    assert (found.verdict, found.text) == ("problem", "it replaces what is there")


def test_a_store_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hangs(*_: Any) -> None:
        import asyncio

        await asyncio.Event().wait()

    monkeypatch.setattr(storing, "prove_conditional_create", hangs)
    found = only(storing.checkpoints(str(tmp_path), None, within=0.001))
    assert (found.verdict, "did not answer" in found.text) == ("problem", True)


# -- the service


class Service:
    """In place of a client."""

    where = "http://it"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None: ...

    def is_ready(self) -> bool:
        if self._error is not None:
            raise self._error
        return True

    def session(self) -> Session:
        return Session(user="jane", mode="cluster", version="1.2")

    def page(self, **_: Any) -> JobList:
        return JobList(jobs=[], counts={"Running": 2, "Failed": 1})


@pytest.mark.parametrize(
    ("error", "server", "verdict"),
    [
        (None, "http://it", "ok"),
        (ServiceUnreachable("nobody", next_step="x"), "http://it", "problem"),
        (ServiceUnreachable("nobody", next_step="x"), None, "skipped"),
        (NotAllowed("no token", next_step="x"), None, "problem"),
    ],
)
def test_the_service_is_asked_who_one_is(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, server: str | None, verdict: str
) -> None:
    monkeypatch.delenv("FLOWJOB_SERVER", raising=False)
    monkeypatch.setattr(reaching, "connect", lambda *_, **__: Service(error))
    found = only(reaching.service(Where(server=server)))
    assert found.verdict == verdict
    if error is None:
        assert found.text == "http://it: flowjob 1.2, cluster; you are jane; 3 jobs"


# -- the cluster


class Kubectl:
    """`lacks`: what it fails for; `may`: the verbs that are allowed."""

    where = "the cluster"

    def __init__(self, lacks: str = "", may: str = "get patch create") -> None:
        self._lacks = lacks
        self._may = may

    def json(self, *arguments: str, sent: Any = None) -> Any:
        if arguments[0] == self._lacks:
            raise ServiceUnreachable("no route", next_step="x")
        if arguments[-1] == self._lacks:
            raise NotFound("no such path")
        return {"serverVersion": {"gitVersion": "v1.34.4"}}

    def text(self, *arguments: str) -> str:
        if arguments[2] in self._may:
            return "Warning: resource is not namespace scoped\nyes"
        raise NotAllowed("no")

    def lines(self, *arguments: str) -> Iterator[str]:
        yield from ()


KINDS = "/apis/flowjob.dev/v1beta1"


@pytest.mark.parametrize(
    ("kubectl", "where", "verdicts"),
    [
        (Kubectl(), Where(context="a"), ["ok"] * 6),
        (Kubectl("version"), Where(context="a"), ["problem"]),
        (Kubectl("version"), Where(), ["skipped"]),
        (Kubectl(KINDS), Where(namespace="a"), ["ok", "problem"]),
        (Kubectl(KINDS), Where(), ["ok", "skipped"]),
        (Kubectl(may="get"), Where(), ["ok", "ok", "ok", "warning", "warning", "ok"]),
    ],
)
def test_the_cluster_is_asked_for_kinds_and_rights(
    kubectl: Kubectl, where: Where, verdicts: list[str]
) -> None:
    found = list(reaching.cluster(where, kubectl))
    assert [finding.verdict for finding in found] == verdicts
    assert all(f.advice for f in found if f.verdict != "ok")


# -- all together


def test_a_check_that_breaks_is_a_finding_and_ends_no_other() -> None:
    def breaks() -> Iterator[Finding]:
        raise RuntimeError("oh")
        yield

    found = list(findings_of([("a", breaks), ("b", lambda: [ok("b", "well")])]))
    assert [(f.check, f.verdict) for f in found] == [("a", "problem"), ("b", "ok")]


@pytest.mark.parametrize(
    ("found", "status"),
    [([ok("a", "x"), warning("b", "y", "z"), skipped("c", "x")], 0), ([ok("a", "x"), problem("b", "y", "z")], 1)],
)  # fmt: skip
def test_only_a_problem_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, found: list[Finding], status: int
) -> None:
    monkeypatch.setattr(examining, "_checks", lambda *_: [("all", lambda: found)])
    ended = CliRunner().invoke(app, ["doctor"])
    assert ended.exit_code == status
    assert ended.stdout.splitlines()[0] == "ok    a: x"
    assert "      -> z" in ended.stdout.splitlines()
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert [one["verdict"] for one in told] == [f.verdict for f in found]


def test_everything_is_checked() -> None:
    names = [name for name, _ in examining._checks(Where(), None, None)]
    assert {"python", "packages", "kernels", "checkpoints", "service", "cluster"} <= set(names)
