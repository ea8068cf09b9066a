"""FlowJob and FlowSnapshot in a real API server: what it takes, refuses, fills in, shows and keeps.

The same examples as the light checker's (tests/operator/resources/examples.py), and besides them what only a server
knows: rules in CEL, transitions, subresources, owners of fields."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from flowjob_operator.resources.kinds import LONGEST_NAME, FlowJob, FlowSnapshot
from tests.e2e.api_server.conftest import DEFINITIONS
from tests.e2e.cluster.api import TABLE, Api, Refusal
from tests.operator.resources import examples
from tests.operator.resources.examples import MINIMAL, Refused, Spec

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

PLURALS = {"FlowJob": "flowjobs", "FlowSnapshot": "flowsnapshots"}
Object = dict[str, Any]


def place(namespace: str, kind: str = "FlowJob", name: str = "", sub: str = "") -> str:
    parts = ["/apis/flowjob.dev/v1beta1/namespaces", namespace, PLURALS[kind], name, sub]
    return "/".join(part for part in parts if part)


def an_object(spec: Spec, name: str = "flights", kind: str = "FlowJob") -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def create(
    api: Api, namespace: str, spec: Spec, name: str = "flights", kind: str = "FlowJob"
) -> Object:
    return api.create(place(namespace, kind), an_object(spec, name, kind))


def edit(api: Api, namespace: str, spec: Object, kind: str = "FlowJob") -> Object:
    return api.patch(place(namespace, kind, "flights"), {"spec": spec})


def report(api: Api, namespace: str, status: Object) -> Object:
    """What the operator does."""
    return api.patch(place(namespace, "FlowJob", "flights", "status"), {"status": status})


# -- what is taken and refused

taken = [("FlowJob", what, spec) for what, spec in examples.TAKEN.items()] + [
    ("FlowSnapshot", what, spec) for what, spec in examples.SNAPSHOTS_TAKEN.items()
]
refused = [("FlowJob", case) for case in examples.REFUSED] + [
    ("FlowSnapshot", case) for case in examples.SNAPSHOTS_REFUSED
]


@pytest.mark.parametrize(
    ("kind", "spec"), [(k, s) for k, _, s in taken], ids=[f"{k}-{what}" for k, what, _ in taken]
)
def test_it_is_taken_and_nothing_of_it_is_lost(
    api: Api, namespace: str, kind: str, spec: Spec
) -> None:
    made = create(api, namespace, spec, kind=kind)
    assert keeps(spec, made["spec"])
    model = FlowJob if kind == "FlowJob" else FlowSnapshot
    assert model.of(made).metadata.uid


def keeps(said: Any, kept: Any) -> bool:
    if isinstance(said, dict) and isinstance(kept, dict):
        return all(name in kept and keeps(value, kept[name]) for name, value in said.items())
    return bool(said == kept)


@pytest.mark.parametrize(("kind", "case"), refused, ids=[f"{k}-{case.what}" for k, case in refused])
def test_it_is_refused_with_a_reason(api: Api, namespace: str, kind: str, case: Refused) -> None:
    with pytest.raises(Refusal) as refusal:
        create(api, namespace, case.spec, name="refused", kind=kind)
    assert refusal.value.status == 422
    assert case.says in refusal.value.message


@pytest.mark.parametrize("name", ["flights", "a", "a-1", "a" * LONGEST_NAME])
def test_names_that_pods_and_services_can_be_made_of_are_taken(
    api: Api, namespace: str, name: str
) -> None:
    assert create(api, namespace, MINIMAL, name)["metadata"]["name"] == name


@pytest.mark.parametrize("name", ["1st", "a.b", "a" * (LONGEST_NAME + 1)])
def test_names_that_could_not_be_used_are_refused(api: Api, namespace: str, name: str) -> None:
    with pytest.raises(Refusal, match=r"metadata\.name must begin with a letter"):
        create(api, namespace, MINIMAL, name)


def test_a_refusal_names_the_field(api: Api, namespace: str) -> None:
    with pytest.raises(Refusal) as refusal:
        create(api, namespace, {"job": {"entrypoint": "a:b", "main": "c:d"}})
    assert "spec.job.main" in refusal.value.fields


def test_unknown_fields_are_dropped_except_in_pod_templates(api: Api, namespace: str) -> None:
    template = {"spec": {"containers": [{"name": "flowjob", "env": [{"name": "A", "value": "1"}]}]}}
    made = create(
        api,
        namespace,
        {**MINIMAL, "invented": True, "taskManager": {"podTemplate": template}},
    )
    assert "invented" not in made["spec"]
    assert made["spec"]["taskManager"]["podTemplate"] == template


def test_only_what_no_platform_overrides_is_filled_in(api: Api, namespace: str) -> None:
    assert create(api, namespace, MINIMAL)["spec"] == {
        "job": {"entrypoint": "flights:job", "state": "Running"},
        "deletionPolicy": "Retain",
        "upgrade": {"mode": "Savepoint"},
    }


def test_a_field_that_is_null_is_as_if_it_were_absent(api: Api, namespace: str) -> None:
    """Templates render those."""
    nulls = {"restartNonce": None, "maxParallelism": None, "restoreFrom": None, "script": None}
    made = create(api, namespace, {"job": {**MINIMAL["job"], **nulls}, "upgrade": {"mode": None}})
    assert made["spec"]["job"] == {"entrypoint": "flights:job", "state": "Running"}
    assert made["spec"]["upgrade"] == {"mode": "Savepoint"}


# -- edits


def test_max_parallelism_can_neither_be_changed_nor_removed(api: Api, namespace: str) -> None:
    create(api, namespace, {"job": {**MINIMAL["job"], "maxParallelism": 64}})
    for value in (128, None):
        with pytest.raises(Refusal, match="maxParallelism is fixed for the life of the job"):
            edit(api, namespace, {"job": {"maxParallelism": value}})
    edit(api, namespace, {"job": {"parallelism": 64}})


def test_max_parallelism_cannot_be_removed_by_replacing_the_job(api: Api, namespace: str) -> None:
    made = create(api, namespace, {"job": {**MINIMAL["job"], "maxParallelism": 64}})
    made["spec"]["job"] = {"script": "another"}
    with pytest.raises(Refusal, match="maxParallelism is fixed for the life of the job"):
        api.replace(place(namespace, name="flights"), made)


def test_an_absent_max_parallelism_may_only_become_what_the_first_start_has_fixed(
    api: Api, namespace: str
) -> None:
    create(api, namespace, MINIMAL)
    report(api, namespace, {"maxParallelism": 128})
    with pytest.raises(Refusal, match="fixed by the first start"):
        edit(api, namespace, {"job": {"maxParallelism": 64}})
    edit(api, namespace, {"job": {"maxParallelism": 128}})


def test_parallelism_cannot_grow_beyond_what_the_first_start_has_fixed(
    api: Api, namespace: str
) -> None:
    create(api, namespace, MINIMAL)
    report(api, namespace, {"maxParallelism": 8})
    edit(api, namespace, {"job": {"parallelism": 8}})
    with pytest.raises(Refusal, match=r"must not exceed status\.maxParallelism"):
        edit(api, namespace, {"job": {"parallelism": 9}})


def test_a_status_that_contradicts_the_spec_can_still_be_written_and_the_rest_edited(
    api: Api, namespace: str
) -> None:
    """Written by a start that was under way when the spec was edited: the operator must be able to say so."""
    create(api, namespace, {"job": {**MINIMAL["job"], "parallelism": 64, "maxParallelism": 64}})
    report(api, namespace, {"maxParallelism": 16, "phase": "Failed"})
    made = report(api, namespace, {"diagnosis": "It was started with another maxParallelism."})
    assert made["status"]["maxParallelism"] == 16
    edit(api, namespace, {"deletionPolicy": "Discard"})
    edit(api, namespace, {"job": {"parallelism": 16}})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"jobRef": {"name": "a"}}, {"jobRef": {"name": "b"}}),
        ({"jobRef": {"name": "a"}}, {"type": "Savepoint"}),
        ({"jobRef": {"name": "a"}, "type": "Checkpoint"}, {"type": "Savepoint"}),
        ({"jobRef": {"name": "a"}, "type": "Savepoint"}, {"type": None}),
        ({"jobRef": {"name": "a"}}, {"path": "s3://bucket/x"}),
        ({"path": "s3://bucket/x"}, {"path": "s3://bucket/y"}),
        ({"path": "s3://bucket/x"}, {"storage": {"region": "eu"}}),
        ({"path": "s3://bucket/x"}, {"jobRef": {"name": "a"}}),
    ],
)
def test_what_a_snapshot_is_of_cannot_be_changed(
    api: Api, namespace: str, old: Spec, new: Spec
) -> None:
    create(api, namespace, old, kind="FlowSnapshot")
    with pytest.raises(Refusal, match="cannot be changed: make another FlowSnapshot"):
        edit(api, namespace, new, kind="FlowSnapshot")


def test_whether_a_snapshots_data_is_kept_can_be_changed(api: Api, namespace: str) -> None:
    create(api, namespace, {"jobRef": {"name": "a"}}, kind="FlowSnapshot")
    for policy in ("Retain", "Discard", None):
        edit(api, namespace, {"deletionPolicy": policy}, kind="FlowSnapshot")


# -- subresources


def test_a_status_is_only_written_as_the_subresource(api: Api, namespace: str) -> None:
    made = create(api, namespace, MINIMAL)
    generation = made["metadata"]["generation"]
    api.patch(place(namespace, name="flights"), {"status": {"phase": "Running"}})
    assert "status" not in api.get(place(namespace, name="flights"))
    reported = report(api, namespace, {"phase": "Running"})
    assert reported["status"] == {"phase": "Running"}
    assert reported["metadata"]["generation"] == generation


def test_a_status_of_an_old_version_of_the_object_is_a_conflict(api: Api, namespace: str) -> None:
    old = create(api, namespace, MINIMAL)
    report(api, namespace, {"phase": "Pending"})
    with pytest.raises(Refusal) as refusal:
        api.replace(
            place(namespace, name="flights", sub="status"), {**old, "status": {"phase": "Running"}}
        )
    assert (refusal.value.status, refusal.value.reason) == (409, "Conflict")


def test_everything_that_the_models_know_of_a_status_is_kept(api: Api, namespace: str) -> None:
    create(api, namespace, MINIMAL)
    status = {
        "observedGeneration": 1,
        "phase": "Upgrading",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Running",
                "message": "4 of 4 tasks run.",
                "lastTransitionTime": "2026-11-21T18:00:00Z",
                "observedGeneration": 1,
            }
        ],
        "operation": {
            "id": "uid.1",
            "type": "Upgrade",
            "step": "Savepoint",
            "generation": 1,
            "startedAt": "2026-11-21T18:00:00.123456Z",
            "attempts": 1,
            "fallback": False,
            "message": "",
            "expected": {"type": "Savepoint", "path": "s3://bucket/x", "size": 2**40},
        },
        "nonces": {"restart": 2**53 - 1},
        "effective": {"checkpoints.interval": {"value": "10s", "source": "Namespace"}},
        "plan": {
            "generation": 1,
            "actions": ["Upgrade"],
            "changes": [],
            "problems": ["It does not fit."],
            "notes": [],
        },
        "diagnosis": "x" * 5000,
    }
    reported = report(api, namespace, status)
    assert reported["status"] == status
    written = FlowJob.of(reported).status.wire()
    assert report(api, namespace, written)["status"] == written
    assert keeps(status, written)


def test_scaling_sets_the_parallelism(api: Api, namespace: str) -> None:
    create(api, namespace, {"job": {**MINIMAL["job"], "parallelism": 2, "maxParallelism": 8}})
    report(api, namespace, {"parallelism": 2, "selector": "flowjob.dev/job=flights"})
    scale = api.get(place(namespace, name="flights", sub="scale"))
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": "flowjob.dev/job=flights"}
    api.patch(place(namespace, name="flights", sub="scale"), {"spec": {"replicas": 5}})
    assert api.get(place(namespace, name="flights"))["spec"]["job"]["parallelism"] == 5


def test_the_scale_can_be_written_but_not_read_before_the_parallelism_is_set(
    api: Api, namespace: str
) -> None:
    """Autoscalers begin by reading: one who uses them sets it once, as docs/installing.md says."""
    create(api, namespace, MINIMAL)
    scale = place(namespace, name="flights", sub="scale")
    with pytest.raises(Refusal, match="parallelism") as refusal:
        api.get(scale)
    assert refusal.value.status == 500
    api.patch(scale, {"spec": {"replicas": 1}})  # as kubectl scale does
    assert api.get(scale)["spec"] == {"replicas": 1}


@pytest.mark.parametrize("replicas", [0, 9])
def test_scaling_keeps_the_rules(api: Api, namespace: str, replicas: int) -> None:
    create(api, namespace, {"job": {**MINIMAL["job"], "parallelism": 2, "maxParallelism": 8}})
    with pytest.raises(Refusal):
        api.patch(place(namespace, name="flights", sub="scale"), {"spec": {"replicas": replicas}})


# -- what people see


def rows(api: Api, path: str) -> list[dict[str, Any]]:
    table = api.get(path, accept=TABLE)
    names = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]


def test_kubectl_get_shows_phase_state_parallelism_and_the_age_of_the_checkpoint(
    api: Api, namespace: str
) -> None:
    create(api, namespace, MINIMAL)
    hour_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    report(
        api,
        namespace,
        {
            "phase": "Running",
            "job": {"state": "Running"},
            "parallelism": 4,
            "lastCheckpointTime": hour_ago,
        },
    )
    (row,) = rows(api, place(namespace))
    assert (row["Phase"], row["Job"], row["Parallelism"]) == ("Running", "Running", 4)
    assert row["Checkpoint"] == "60m"
    assert row["Age"].endswith("s")


def test_kubectl_get_shows_a_new_object_without_errors(api: Api, namespace: str) -> None:
    create(api, namespace, MINIMAL)
    create(api, namespace, {"jobRef": {"name": "a"}}, kind="FlowSnapshot")
    (row,) = rows(api, place(namespace))
    assert row["Phase"] in ("", None)
    (row,) = rows(api, place(namespace, "FlowSnapshot"))
    assert row["Name"] == "flights"


def test_short_names_and_the_category_are_served(api: Api) -> None:
    served = {r["name"]: r for r in api.get("/apis/flowjob.dev/v1beta1")["resources"]}
    assert served["flowjobs"]["shortNames"] == ["fj"]
    assert served["flowsnapshots"]["shortNames"] == ["fjs"]
    assert served["flowjobs"]["categories"] == served["flowsnapshots"]["categories"] == ["flow"]
    assert {"flowjobs/scale", "flowjobs/status", "flowsnapshots/status"} <= set(served)


def test_no_schema_is_called_non_structural(api: Api) -> None:
    for plural in PLURALS.values():
        conditions = api.get(f"{DEFINITIONS}/{plural}.flowjob.dev")["status"]["conditions"]
        assert "NonStructuralSchema" not in {c["type"] for c in conditions}


# -- owners of fields


def test_a_field_that_another_manager_owns_is_a_conflict_that_names_it(
    api: Api, namespace: str
) -> None:
    path = place(namespace, name="flights")
    api.apply(path, an_object({"job": {**MINIMAL["job"], "parallelism": 2}}), manager="git")
    change = an_object({"job": {"parallelism": 4}})
    with pytest.raises(Refusal) as refusal:
        api.apply(path, change, manager="flowjob-api")
    assert refusal.value.status == 409
    assert "git" in refusal.value.message
    assert ".spec.job.parallelism" in refusal.value.fields
    made = api.apply(path, change, manager="flowjob-api", force=True)
    assert made["spec"]["job"]["parallelism"] == 4
    assert made["spec"]["job"]["entrypoint"] == "flights:job"


def test_conditions_of_several_managers_stand_side_by_side(api: Api, namespace: str) -> None:
    create(api, namespace, MINIMAL)
    for kind in ("Ready", "Stalled"):
        condition = {
            "type": kind,
            "status": "True",
            "reason": "Test",
            "lastTransitionTime": "2026-11-21T18:00:00Z",
        }
        made = {**an_object(MINIMAL), "status": {"conditions": [condition]}}
        del made["spec"]
        reported = api.apply(
            place(namespace, name="flights", sub="status"), made, manager=kind.lower()
        )
    assert {c["type"] for c in reported["status"]["conditions"]} == {"Ready", "Stalled"}
