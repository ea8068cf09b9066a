"""FlowSnapshots that the operator makes: its selector finds them, and no tool takes them for what git has forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob_operator.core.actions import CreateSnapshot
from flowjob_operator.rendering.snapshots import selected, snapshot
from flowjob_operator.resources.flowsnapshot import FlowSnapshotSpec
from flowjob_operator.resources.kinds import Metadata

LABELS = {
    "app.kubernetes.io/instance": "flights-of-git",
    "helm.sh/chart": "flights-1",
    "team": "x",
    "tier": "gold",
    "example.com/old": "no",
}


def made(selector: str | None, fact: str = "") -> dict[str, Any]:
    job = Metadata(name="flights", namespace="air", uid="u", labels=LABELS)
    spec = FlowSnapshotSpec.of({"jobRef": {"name": "flights"}})
    action = CreateSnapshot(name="s", spec=spec, made_by="Schedule", fact=fact)
    found: dict[str, Any] = snapshot(job, action, selector)["metadata"]
    return found


OURS = {
    "app.kubernetes.io/name": "flowjob",
    "flowjob.dev/job": "flights",
    "flowjob.dev/made-by": "Schedule",
}


def test_it_has_no_label_by_which_those_who_deploy_the_job_know_what_is_theirs() -> None:
    assert made("")["labels"] == OURS


def test_it_has_the_labels_by_which_the_operator_finds_the_job() -> None:
    found = made("team=x,tier in (gold, silver)")["labels"]
    assert found == {**OURS, "team": "x", "tier": "gold"}


def test_it_is_neither_pruned_nor_out_of_sync() -> None:
    assert made("", fact="{}")["annotations"] == {
        "argocd.argoproj.io/sync-options": "Prune=false",
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
        "flowjob.dev/fact": "{}",
    }


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", []),
        ("team=x", ["team"]),
        ("team==x,tier!=lead", ["team", "tier"]),
        ("tier", ["tier"]),
        ("!example.com/old, team", ["example.com/old", "team"]),
        ("tier notin (team, lead)", ["tier"]),
        ("app.kubernetes.io/instance=flights-of-git", ["app.kubernetes.io/instance"]),
        ("nobody=x", []),
    ],
)
def test_a_selector_names_labels_in_every_way_that_kubectl_knows(
    selector: str, names: list[str]
) -> None:
    assert sorted(selected(LABELS, selector)) == sorted(names)


def test_where_nobody_has_said_how_jobs_are_found_all_labels_may_matter() -> None:
    assert selected(LABELS, None) == LABELS
