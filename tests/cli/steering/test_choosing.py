"""Whom commands ask, by what was said on the command line and in the environment."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob import errors
from flowjob.cli.steering.choosing import _chosen
from flowjob.cli.steering.where import Where
from flowjob.client.client import Client
from flowjob.client.kubernetes_client import KubernetesClient

CASES: list[tuple[dict[str, Any], str | None, str, type, str]] = [
    ({}, None, "flowjob", Client, "http://127.0.0.1:8081"),
    ({}, "https://env", "flowjob", Client, "https://env:443"),
    ({"server": "https://said"}, "https://env", "flowjob", Client, "https://said:443"),
    ({"server": "https://said", "namespace": "a"}, None, "flowjob", Client, "https://said:443"),
    ({"namespace": "a"}, "https://env", "flowjob", Client, "https://env:443"),
    ({"namespace": "a"}, None, "flowjob", KubernetesClient, "the cluster"),
    ({"context": "prod"}, "https://env", "flowjob", KubernetesClient, "the cluster of context prod"),
    ({"service": "ops/api", "context": "c"}, "https://env", "flowjob", Client, "ops/api of the cluster of context c"),
    ({"kubeconfig": "/k"}, None, "flowjob", KubernetesClient, "the cluster"),
    ({}, None, "/usr/bin/kubectl-flowjob", KubernetesClient, "the cluster"),
    ({}, "https://env", "kubectl-flowjob", Client, "https://env:443"),
    ({"server": "https://said"}, None, "kubectl-flowjob", Client, "https://said:443"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "server", "program", "kind", "where"), CASES)
def test_what_is_said_chooses_whom_to_ask(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], server: str | None, program: str, kind: type, where: str
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", [program, "jobs"])
    monkeypatch.delenv("FLOWJOB_TOKEN", raising=False)
    if server is None:
        monkeypatch.delenv("FLOWJOB_SERVER", raising=False)
    else:
        monkeypatch.setenv("FLOWJOB_SERVER", server)
    found = _chosen(Where(**said))
    assert isinstance(found, kind)
    assert found.where == where


@pytest.mark.parametrize("cluster", [{"context": "a"}, {"kubeconfig": "/k"}, {"service": "a/b"}])
def test_a_service_and_a_cluster_are_two_answers(cluster: dict[str, Any]) -> None:
    with pytest.raises(errors.BadRequest, match="say one"):
        _chosen(Where(server="x", **cluster))


@pytest.mark.parametrize(
    ("said", "is_said"),
    [
        ({}, False),
        ({"json": True, "token_file": "t"}, False),
        ({"namespace": "a"}, True),
        ({"server": "x"}, True),
    ],
)
def test_only_a_named_place_is_asked_in_place_of_this_directory(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], is_said: bool
) -> None:
    monkeypatch.delenv("FLOWJOB_SERVER", raising=False)
    monkeypatch.setattr("sys.argv", ["flowjob"])
    assert Where(**said).is_said is is_said
