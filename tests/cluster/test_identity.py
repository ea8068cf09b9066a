"""Whose certificate is whose: URIs that name processes, and who may talk to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.cluster.identity import (
    API_CLIENTS,
    CONTROL_CLIENTS,
    DATA_PEERS,
    JOB_ROLES,
    PLATFORM_ROLES,
    Identity,
    JobId,
    identity_uri,
    parse,
    platform_uri,
    refusal,
)

JOB = JobId("shop", "flights", "0f3c")
TASKMANAGER = identity_uri("shop", "flights", "0f3c", "taskmanager")

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_the_format_is_what_the_contract_says() -> None:
    assert TASKMANAGER == "flowjob://shop/flights/0f3c/taskmanager"
    assert platform_uri("operator") == "flowjob://flowjob.dev/operator"


@given(words, words, words, st.sampled_from(sorted(JOB_ROLES)))
def test_every_job_has_uris_of_its_own_and_they_are_read_back(
    namespace: str, name: str, uid: str, role: str
) -> None:
    if namespace == "flowjob.dev":
        return
    found = parse(identity_uri(namespace, name, uid, role))
    assert found == Identity(JobId(namespace, name, uid), role)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "flowjob://",
        "https://shop/flights/0f3c/taskmanager",
        "flowjob://shop/flights/taskmanager",
        "flowjob://shop/flights/0f3c/taskmanager/",
        "flowjob://shop/flights/0f3c/root",
        "flowjob://shop//0f3c/taskmanager",
        "flowjob://flowjob.dev/taskmanager",
        "flowjob://flowjob.dev/a/b/taskmanager",
        "flowjob://flowjob.dev/root",
        "flowjob://shop/operator",
        "flowjob://shop/fl%69ghts/0f3c/taskmanager",
        "FLOWJOB://shop/flights/0f3c/taskmanager",
        "flowjob://shop/flights/0f3c/taskmanager?x",
    ],
)
def test_nothing_else_is_an_identity(uri: str) -> None:
    assert parse(uri) is None


@given(st.text())
def test_any_text_is_an_identity_that_writes_itself_so_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or found.uri == text


@pytest.mark.parametrize(
    ("uris", "roles", "reason"),
    [
        ([TASKMANAGER], CONTROL_CLIENTS, None),
        ([TASKMANAGER], DATA_PEERS, None),
        ([TASKMANAGER, "https://elsewhere"], API_CLIENTS, None),
        ([platform_uri("operator")], API_CLIENTS, None),
        ([platform_uri("operator")], CONTROL_CLIENTS, "only jobmanager, taskmanager may be here"),
        ([identity_uri("shop", "flights", "0f3c", "jobmanager")], DATA_PEERS, "only taskmanager"),
        ([identity_uri("shop", "flights", "9999", "taskmanager")], DATA_PEERS, "of job shop/flights/9999, and this"),
        ([identity_uri("shop", "other", "0f3c", "taskmanager")], DATA_PEERS, "this is job shop/flights/0f3c"),
        ([identity_uri("bank", "flights", "0f3c", "taskmanager")], DATA_PEERS, "job bank/flights"),
        ([], DATA_PEERS, "says nothing of a flowjob process"),
        (["https://elsewhere"], DATA_PEERS, "says nothing"),
        ([TASKMANAGER, platform_uri("operator")], API_CLIENTS, "has 2 identities"),
    ],
)  # fmt: skip
def test_peers_of_other_jobs_and_other_roles_are_refused_by_name(
    uris: list[str], roles: frozenset[str], reason: str | None
) -> None:
    said = refusal(uris, JOB, roles)
    assert said is None if reason is None else reason in (said or "")


@pytest.mark.parametrize(
    ("namespace", "role"), [("shop", "root"), ("flowjob.dev", "taskmanager"), ("", "taskmanager")]
)
def test_no_certificate_is_made_for_nobody(namespace: str, role: str) -> None:
    with pytest.raises(ValueError, match="nobody's identity"):
        identity_uri(namespace, "flights", "0f3c", role)


def test_only_roles_of_the_platform_are_its_own() -> None:
    assert {"operator", "service"} == PLATFORM_ROLES
    with pytest.raises(ValueError, match="no role of the platform"):
        platform_uri("taskmanager")
