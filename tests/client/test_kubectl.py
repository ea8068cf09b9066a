"""kubectl as it is run: its words, its complaints, its absence."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowjob import errors
from flowjob.client.kubectl import Kubectl, error_of


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in kubectl's place, which the test writes."""
    program = tmp_path / "kubectl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def write(program: Path, script: str) -> None:
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_context_kubeconfig_and_what_is_sent_are_handed_on(fake: Path) -> None:
    write(fake, """read body; printf '{"asked": "%s", "sent": %s}' "$*" "$body" """)
    found = Kubectl("prod", "/k").json("create", "--filename=-", sent={"a": 1})
    assert found == {
        "asked": "--context=prod --kubeconfig=/k create --output=json --filename=-",
        "sent": {"a": 1},
    }


def test_lines_come_until_it_ends_and_a_failure_is_raised(fake: Path) -> None:
    write(fake, "echo a; echo b; echo 'Error from server (NotFound): pods' >&2; exit 1")
    lines = Kubectl().lines("logs")
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(errors.NotFound):
        next(lines)


def test_one_that_is_left_is_ended(fake: Path) -> None:
    write(fake, "echo a; exec sleep 1000")
    lines = Kubectl().lines("logs", "--follow")
    assert next(lines) == "a"
    lines.close()  # type: ignore[attr-defined]


def test_words_that_are_no_json_are_said_to_be(fake: Path) -> None:
    write(fake, "echo hello")
    with pytest.raises(errors.ServiceError, match="no JSON"):
        Kubectl().json("get", "x")


def test_without_kubectl_the_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ServiceUnreachable, match="kubectl is not installed") as found:
        Kubectl().text("version")
    assert "--server" in found.value.next_step


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ('Error from server (NotFound): flowjobs.flowjob.dev "x" not found', errors.NotFound),
        ('Error from server (Forbidden): flowjobs is forbidden: User "x" cannot', errors.NotAllowed),
        ("error: You must be logged in to the server (Unauthorized)", errors.NotAllowed),
        ("Error from server (Conflict): Operation cannot be fulfilled", errors.Conflict),
        ("Error from server (AlreadyExists): it exists", errors.Conflict),
        ('The FlowJob "x" is invalid: spec.job: Invalid value', errors.BadRequest),
        ("error: the server doesn't have a resource type \"flowjobs\"", errors.NotFound),
        ("Unable to connect to the server: dial tcp: no route", errors.ServiceUnreachable),
        ("The connection to the server x was refused - did you specify the right host?", errors.ServiceUnreachable),
        ('error: context "x" does not exist', errors.BadRequest),
        ("something new", errors.ServiceError),
        ("", errors.ServiceError),
    ],
)  # fmt: skip
def test_each_complaint_is_an_error_of_its_kind(
    complaint: str, kind: type[errors.ServiceError]
) -> None:
    found = error_of(complaint, "the cluster")
    assert type(found) is kind
    assert found.message.startswith("the cluster: ")
