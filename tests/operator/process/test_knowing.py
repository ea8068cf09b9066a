"""What is kept and read of objects: the mirror, differences, pods and runs as facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.cluster.preflight_answer import PreflightAnswer, encode
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.drift import difference
from flowjob_operator.process.cluster.mirror import Mirror, Missing, News
from flowjob_operator.process.cluster.reading import pod_of, runs_of

Object = dict[str, Any]


def thing(name: str, version: int, *, uid: str = "u", job: str = "flights", **more: Any) -> Object:
    about = {
        "name": name,
        "namespace": "a",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"flowjob.dev/job": job} if job else {},
        "managedFields": [{"manager": "somebody", "fieldsV1": {"f:spec": {}}}],
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, **more}


# -- the mirror


def test_older_versions_are_no_news_and_newer_ones_are() -> None:
    mirror = Mirror()
    assert mirror.note(kinds.DEPLOYMENTS, thing("x", 5)) is News.OBJECT
    assert mirror.note(kinds.DEPLOYMENTS, thing("x", 5)) is News.NONE
    assert mirror.note(kinds.DEPLOYMENTS, thing("x", 4)) is News.NONE
    assert mirror.note(kinds.DEPLOYMENTS, thing("x", 6, status={"a": 1})) is News.STATUS
    changed = thing("x", 7)
    changed["metadata"]["generation"] = 2
    assert mirror.note(kinds.DEPLOYMENTS, changed) is News.OBJECT


def test_one_that_is_made_anew_is_news_and_its_predecessors_end_is_not_its_own() -> None:
    mirror = Mirror()
    mirror.note(kinds.DEPLOYMENTS, thing("x", 5, uid="old"))
    assert mirror.note(kinds.DEPLOYMENTS, thing("x", 9, uid="new")) is News.OBJECT
    assert not mirror.gone(kinds.DEPLOYMENTS, thing("x", 8, uid="old"))
    assert mirror.get(kinds.DEPLOYMENTS, "a", "x") is not None
    assert mirror.gone(kinds.DEPLOYMENTS, thing("x", 10, uid="new"))
    assert mirror.of_job(kinds.DEPLOYMENTS, "a", "flights") == []


def test_what_a_list_lacks_is_gone_unless_it_is_newer_than_the_list() -> None:
    mirror = Mirror()
    mirror.note(kinds.DEPLOYMENTS, thing("ghost", 5, uid="1"))
    mirror.note(kinds.DEPLOYMENTS, thing("there", 6, uid="2"))
    mirror.note(kinds.DEPLOYMENTS, thing("newer", 12, uid="3"))
    mirror.note(kinds.STATEFUL_SETS, thing("other", 1, uid="4"))
    gone = mirror.missing(kinds.DEPLOYMENTS, "a", {"2"}, 10)
    assert gone == [Missing("a", "ghost", "1", "flights")]
    assert mirror.missing(kinds.DEPLOYMENTS, "b", set(), 100) == []
    assert {name for _, name in mirror.names(kinds.DEPLOYMENTS)} == {"there", "newer"}


def test_objects_of_a_job_follow_their_label() -> None:
    mirror = Mirror()
    mirror.note(kinds.DEPLOYMENTS, thing("x", 5))
    mirror.note(kinds.DEPLOYMENTS, thing("x", 6, job="other"))
    assert mirror.of_job(kinds.DEPLOYMENTS, "a", "flights") == []
    assert [o["metadata"]["name"] for o in mirror.of_job(kinds.DEPLOYMENTS, "a", "other")] == ["x"]


def test_nothing_is_kept_of_what_nobody_looks_at() -> None:
    mirror = Mirror()
    pod = thing(
        "x",
        5,
        spec={
            "nodeName": "n",
            "volumes": [{"name": "v"}],
            "containers": [
                {"name": "flowjob", "command": ["x"], "resources": {"limits": {"memory": "1Gi"}}}
            ],
        },
    )
    pod["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "kept": "1",
    }
    mirror.note(kinds.PODS, pod)
    found = mirror.get(kinds.PODS, "a", "x")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"kept": "1"}
    assert found["spec"] == {
        "nodeName": "n",
        "containers": [{"name": "flowjob", "resources": {"limits": {"memory": "1Gi"}}}],
        "initContainers": [],
    }


def test_objects_take_a_small_part_of_their_size() -> None:
    mirror = Mirror()
    for n in range(100):
        mirror.note(kinds.DEPLOYMENTS, thing(f"x{n}", 5, uid=str(n), spec={"text": "word " * 2000}))
    objects, size = mirror.sizes()
    assert objects == 100
    assert size < 100 * 1000


# -- differences

SAME = [
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"cpu": "1000m"}, {"cpu": "1"}),
    ({"cpu": "0.5"}, {"cpu": "500m"}),
    ({"memory": "1024Mi"}, {"memory": "1Gi"}),
    ({"a": None, "b": {}, "c": [], "d": ""}, {}),
    ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}),
    (
        {"containers": [{"name": "flowjob", "image": "x"}]},
        {"containers": [{"name": "sidecar"}, {"name": "flowjob", "image": "x", "tty": False}]},
    ),
    ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 1, "protocol": "TCP"}]}),
    ({"command": ["a", "b"]}, {"command": ["a", "b"]}),
]
OTHER = [
    ({"a": 1}, {"a": 2}, ".a"),
    ({"a": 1}, {}, ".a"),
    ({"a": False}, {"a": 0}, ".a"),
    ({"a": {"b": "x"}}, {"a": {"b": "y"}}, ".a.b"),
    ({"command": ["a", "b"]}, {"command": ["a"]}, ".command"),
    ({"command": ["a", "b"]}, {"command": ["b", "a"]}, ".command[0]"),
    ({"c": [{"name": "x", "image": "1"}]}, {"c": [{"name": "x", "image": "2"}]}, ".c[x].image"),
    ({"c": [{"name": "x"}]}, {"c": [{"name": "y"}]}, ".c[x]"),
    ({"m": "1Gi"}, {"m": "2Gi"}, ".m"),
]


@pytest.mark.parametrize(("said", "there"), SAME)
def test_what_the_server_adds_or_writes_otherwise_is_no_difference(said: Any, there: Any) -> None:
    assert difference(said, there) is None


@pytest.mark.parametrize(("said", "there", "where"), OTHER)
def test_what_was_changed_is_named(said: Any, there: Any, where: str) -> None:
    assert difference(said, there) == where


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab1", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values, st.dictionaries(st.sampled_from("xyz"), json_values, max_size=2))
def test_everything_is_as_itself_and_as_itself_with_more(said: Any, more: dict[str, Any]) -> None:
    assert difference(said, said) is None
    if isinstance(said, dict):
        assert difference(said, {**said, **more}) is None


# -- facts

POD: Object = {
    "metadata": {
        "name": "flights-tm-0",
        "namespace": "a",
        "uid": "u",
        "labels": {
            "app.kubernetes.io/component": "taskmanager",
            "flowjob.dev/revision": "7",
            "batch.kubernetes.io/job-name": "flights-preflight-7",
        },
        "deletionTimestamp": "2026-11-21T12:01:00Z",
        "deletionGracePeriodSeconds": 60,
        "creationTimestamp": "2026-11-21T11:00:00Z",
    },
    "spec": {
        "nodeName": "n1",
        "containers": [{"name": "flowjob", "resources": {"limits": {"memory": "1Gi"}}}],
    },
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "flowjob",
                "ready": False,
                "restartCount": 3,
                "image": "x",
                "imageID": "sha256:1",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    },
}


def test_a_pod_is_read_with_why_it_does_not_run() -> None:
    pod = pod_of(POD, lambda node: node != "n1")
    (container,) = pod.containers
    assert (pod.component, pod.revision, pod.ready, pod.node_ready) == (
        "taskmanager",
        7,
        False,
        False,
    )
    assert pod.deleting_since == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert (container.waiting, container.ended, container.exit_code) == (
        "CrashLoopBackOff",
        "OOMKilled",
        137,
    )
    assert container.memory_limit == "1Gi"


def test_a_pod_without_a_status_is_pending() -> None:
    pod = pod_of({"metadata": {"name": "x", "uid": "u"}})
    assert (pod.phase, pod.ready, pod.containers, pod.unschedulable) == ("Pending", False, (), "")


def test_why_a_pod_is_not_scheduled_is_read() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes: Insufficient memory",
    }
    pod = pod_of({"metadata": {"name": "x", "uid": "u"}, "status": {"conditions": [condition]}})
    assert pod.unschedulable == "0/3 nodes: Insufficient memory"


def test_the_answer_of_a_preflight_is_read_from_its_pod() -> None:
    answer = PreflightAnswer(accepted=False, problems=("no module named flights",))
    ended = {"reason": "Error", "exitCode": 1, "message": encode(answer).decode()}
    status = {"name": "flowjob", "state": {"terminated": ended}}
    pod = {**POD, "status": {"phase": "Failed", "containerStatuses": [status]}}
    labels = {"app.kubernetes.io/component": "preflight", "flowjob.dev/revision": "7"}
    job = {
        "metadata": {"name": "flights-preflight-7", "uid": "j", "labels": labels},
        "status": {"conditions": [{"type": "Failed", "status": "True"}]},
    }
    ((run,), storage) = runs_of([job], [owned_by(pod, "j")], lambda _: "")
    assert storage == ()
    assert (run.revision, run.finished, run.answer) == (7, True, answer)
    assert [each.name for each in run.pods] == ["flights-tm-0"]


def test_a_pod_of_an_earlier_job_of_the_same_name_does_not_answer_for_the_next_one() -> None:
    answer = PreflightAnswer(accepted=False, problems=("no module named flights",))
    ended = {"reason": "Error", "exitCode": 1, "message": encode(answer).decode()}
    status = {"name": "flowjob", "state": {"terminated": ended}}
    pod = {**POD, "status": {"phase": "Failed", "containerStatuses": [status]}}
    labels = {"app.kubernetes.io/component": "preflight", "flowjob.dev/revision": "7"}
    job = {"metadata": {"name": "flights-preflight-7", "uid": "next", "labels": labels}}
    ((run,), _) = runs_of([job], [owned_by(pod, "earlier")], lambda _: "")
    assert (run.answer, run.pods) == (None, ())


def owned_by(pod: dict[str, Any], uid: str) -> dict[str, Any]:
    owners = [{"apiVersion": "batch/v1", "kind": "Job", "name": "flights-preflight-7", "uid": uid}]
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": owners}}
