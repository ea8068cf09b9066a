"""All objects of a revision: complete, restricted, named, owned; kept and repaired as they were."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import Restore
from flowjob_operator.core.revision import Part, Revision
from flowjob_operator.process.cluster.kinds import resource_of
from flowjob_operator.rendering.effective import effective
from flowjob_operator.rendering.naming import COMPONENT_LABEL, JOB_LABEL, REVISION_LABEL
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.revisions import (
    CONTENT,
    Now,
    Rendered,
    UnreadableRevision,
    controller_revision,
    read_controller_revision,
    render,
    to_apply,
)
from flowjob_operator.rendering.trying import trial_pods
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.job_spec import SCRIPT_BYTES
from flowjob_operator.resources.kinds import LONGEST_NAME
from tests.operator.rendering.examples import (
    CODE,
    EVERYTHING,
    JOB,
    NOW,
    PLATFORM,
    SAVEPOINT,
    SCRIPT,
    SPECS,
    STORAGE,
    TEMPLATE,
    a_revision,
    container,
    one,
    rendered,
)
from tests.operator.rendering.golden import short_jobs
from tests.operator.resources.examples import MINIMAL, TAKEN, Spec

Object = dict[str, Any]


def objects(spec: Spec, **fields: Any) -> list[Object]:
    return to_apply(rendered(spec, **fields), JOB, NOW)


def everything() -> Iterator[Object]:
    for name, spec in SPECS.items():
        yield from objects(spec, code=CODE.get(name))
    yield from short_jobs()


def templates() -> Iterator[Object]:
    for each in everything():
        if "template" in each.get("spec", {}):
            yield each["spec"]["template"]


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


# -- what holds for all of them


def test_there_is_no_null_and_everything_is_json() -> None:
    for each in everything():
        assert None not in list(leaves(each))
        assert json.loads(json.dumps(each)) == each


def test_the_operator_knows_all_kinds() -> None:
    for each in everything():
        assert resource_of(each).kind == each["kind"]


def test_all_are_labelled_with_their_job_and_component() -> None:
    for each in everything():
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "flowjob-operator"
        assert labels[JOB_LABEL] in ("flights", "")
        assert labels[COMPONENT_LABEL] in (
            *("jobmanager", "taskmanager", "preflight", "storage"),
            "configuration",
        )


def test_only_pods_of_a_role_are_selected_by_its_selectors() -> None:
    made = objects(EVERYTHING)
    pods = [
        o["spec"]["template"]["metadata"]["labels"] for o in made if "template" in o.get("spec", {})
    ]
    for each in made:
        selector = each.get("spec", {}).get("selector") or each.get("spec", {}).get("podSelector")
        if selector is not None:
            selector = selector.get("matchLabels", selector)
            selected = [p for p in pods if selector.items() <= p.items()]
            assert len(selected) == 1, each["metadata"]["name"]


def test_names_are_those_of_labels_for_the_longest_name_and_many_revisions() -> None:
    job = JobId("air", "j" * LONGEST_NAME, "u")
    revision = a_revision({**EVERYTHING, "job": SCRIPT["job"]}, number=9_999_999)
    made = to_apply(render(job, revision, PLATFORM), job, NOW)
    made.append(controller_revision(job, revision, render(job, revision, PLATFORM)))
    for each in made:
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())


@pytest.mark.parametrize("spec", TAKEN.values(), ids=TAKEN)
def test_whatever_the_api_server_takes_can_be_rendered(spec: Spec) -> None:
    settled = effective(FlowJobSpec.of(spec), image="flowjob-worker:1")
    revision = Revision(
        number=1, base=1, template=1, written=FlowJobSpec.of(spec), spec=settled.spec
    )
    made = render(JOB, revision, PLATFORM)
    assert not [
        leaf for each in to_apply(made, JOB, NOW) for leaf in leaves(plain(each)) if leaf is None
    ]
    body = json.loads(json.dumps(controller_revision(JOB, revision, made)))
    assert read_controller_revision(body) == (revision, made)


def plain(each: Object) -> Object:
    """Without what is text."""
    return {name: value for name, value in each.items() if name != "data"}


# -- pods


def test_every_pod_is_restricted_and_has_no_token() -> None:
    found = list(templates())
    assert len(found) == 2 * len(SPECS) + 3
    for template in found:
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in [*spec["containers"], *spec.get("initContainers", [])]:
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            if each["name"] == "flowjob":
                assert each["securityContext"]["readOnlyRootFilesystem"] is True
                assert each["resources"]["requests"]["memory"]


def test_no_pod_may_speak_to_kubernetes_and_a_pair_of_jobmanagers_is_no_exception() -> None:
    pair, single = objects(EVERYTHING), objects(SAVEPOINT)
    for workload in (o for o in (*pair, *single) if o["kind"] in ("Deployment", "StatefulSet")):
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert not any("projected" in volume for volume in pod["volumes"])
    assert {o["kind"] for o in pair} == {o["kind"] for o in single}


def test_the_only_places_to_write_are_scratch_and_tmp() -> None:
    for template in templates():
        ours = container({"spec": {"template": template}})
        writable = {m["mountPath"] for m in ours["volumeMounts"] if not m.get("readOnly")}
        assert writable == {"/var/lib/flowjob", "/tmp"}


def test_a_mount_has_its_volume() -> None:
    for each in everything():
        if "template" in each.get("spec", {}):
            pod = each["spec"]["template"]["spec"]
            claims = each["spec"].get("volumeClaimTemplates", [])
            known = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in claims}
            mounted = {m["name"] for c in pod["containers"] for m in c.get("volumeMounts", [])}
            assert mounted <= known


def test_a_role_gets_its_own_key_only() -> None:
    made = objects(MINIMAL)
    for kind, own, other in (
        ("Deployment", "jobmanager", "taskmanager"),
        ("StatefulSet", "taskmanager", "jobmanager"),
    ):
        volumes = one(made, kind)["spec"]["template"]["spec"]["volumes"]
        (secret,) = (v["secret"] for v in volumes if v["name"] == "flowjob-identity")
        keys = {item["key"] for item in secret["items"]}
        assert f"{own}.key" in keys
        assert f"{other}.key" not in keys


def test_pods_that_try_out_or_dispose_have_no_identity() -> None:
    for each in short_jobs():
        if each["kind"] == "Job":
            names = {v["name"] for v in each["spec"]["template"]["spec"]["volumes"]}
            assert not names & {"flowjob-identity", "flowjob-token"}


def test_what_runs_is_flowjob_with_the_job_file() -> None:
    found = [container({"spec": {"template": t}}) for t in templates()]
    assert {c["args"][0] for c in found} == {"jobmanager", "taskmanager", "preflight", "storage"}
    for each in found:
        assert each["command"] == ["tini", "--", "flowjob"]
        assert each["args"][-2:] == ["--job-file", "/etc/flowjob/job/job.json"]
        assert each["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_template_is_merged_but_what_is_ours_stands() -> None:
    # As if a template had come past its judge.
    bad = copy.deepcopy(TEMPLATE)
    bad["metadata"]["labels"] |= {JOB_LABEL: "other", REVISION_LABEL: "1"}
    bad["spec"] |= {"serviceAccountName": "root", "automountServiceAccountToken": True}
    bad["spec"]["containers"][0] |= {
        "image": "other",
        "command": ["sh"],
        "args": ["-c"],
        "ports": [{"containerPort": 7402, "name": "x", "hostPort": 7402}],
    }
    revision = a_revision(MINIMAL)
    part = revision.spec.job_manager.model_copy(update={"pod_template": bad})
    spec = revision.spec.model_copy(update={"job_manager": part})
    made = render(JOB, revision.model_copy(update={"spec": spec}), PLATFORM).objects()
    deployment = one(made, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "air"
    pod = deployment["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("default", False)
    ours, plain = container(deployment), container(one(objects(MINIMAL), "Deployment"))
    for field in ("image", "command", "args", "ports", "resources"):
        assert ours[field] == plain[field]
    assert {"name": "TZ", "value": "UTC"} in ours["env"]


def test_a_container_that_is_privileged_by_its_users_word_stays_so() -> None:
    said = {"privileged": True}
    more = {"name": "x", "image": "x", "securityContext": said}
    spec = {**MINIMAL, "jobManager": {"podTemplate": {"spec": {"containers": [more]}}}}
    assert container(one(objects(spec), "Deployment"), "x")["securityContext"] == said


def test_threads_of_libraries_are_as_many_as_the_cores_of_a_process() -> None:
    def threads(kind: str, resources: Object, slots: int = 1) -> str:
        part = {"resources": resources}
        spec = {**MINIMAL, "taskManager": {**part, "slots": slots}, "jobManager": part}
        environment = container(one(objects(spec), kind))["env"]
        return str(next(e["value"] for e in environment if e["name"] == "OMP_NUM_THREADS"))

    eight = {"limits": {"cpu": 8}, "requests": {"cpu": 1}}
    assert threads("StatefulSet", eight, slots=2) == "4"
    assert threads("StatefulSet", eight, slots=16) == "1"
    assert threads("Deployment", eight, slots=2) == "8"
    assert threads("Deployment", {"requests": {"cpu": "2500m"}}) == "2"
    assert threads("Deployment", {"requests": {"memory": "1Gi"}}) == "1"


# -- workloads


def test_without_further_knowledge_the_parallelism_is_what_is_needed() -> None:
    assert one(rendered(EVERYTHING).objects(), "StatefulSet")["spec"]["replicas"] == 3


def test_a_local_volume_goes_with_its_pods_ordinal() -> None:
    spec = one(objects(EVERYTHING), "StatefulSet")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    policy = spec["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Delete", "whenScaled": "Delete"}
    assert "volumeClaimTemplates" not in one(objects(MINIMAL), "StatefulSet")["spec"]


def test_two_jobmanagers_would_rather_be_on_two_nodes() -> None:
    def affinity(spec: Spec) -> Any:
        return one(objects(spec), "Deployment")["spec"]["template"]["spec"].get("affinity")

    assert affinity(EVERYTHING) is not None
    assert affinity(MINIMAL) is None


def test_pods_of_a_lost_node_are_made_elsewhere_soon() -> None:
    for kind in ("Deployment", "StatefulSet"):
        tolerations = one(objects(MINIMAL), kind)["spec"]["template"]["spec"]["tolerations"]
        assert {t["key"]: t["tolerationSeconds"] for t in tolerations} == {
            "node.kubernetes.io/not-ready": 10,
            "node.kubernetes.io/unreachable": 10,
        }


# -- what is shared


def test_without_network_policies_there_are_none() -> None:
    open_to_all = render(JOB, a_revision(MINIMAL), Platform(network_policies=False))
    assert "NetworkPolicy" not in {o["kind"] for o in open_to_all.objects()}


def test_who_may_come_in() -> None:
    made = objects(MINIMAL)
    manager = one(made, "NetworkPolicy", "flights-jm")["spec"]
    worker = one(made, "NetworkPolicy", "flights-tm")["spec"]
    assert manager["policyTypes"] == worker["policyTypes"] == ["Ingress"]
    ports = [{p["port"] for p in rule.get("ports", [])} for rule in manager["ingress"]]
    assert ports == [set(), {7402}, {7401}]
    assert [{p["port"] for p in r.get("ports", [])} for r in worker["ingress"]] == [set(), {7401}]
    same_job = manager["ingress"][0]["from"][0]["podSelector"]
    assert same_job["matchLabels"][JOB_LABEL] == "flights"
    assert same_job["matchExpressions"][0]["values"] == ["jobmanager", "taskmanager"]


def test_ways_out_are_limited_only_where_the_platform_says_so() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}
    made = render(JOB, a_revision(MINIMAL), Platform(egress=(rule,))).objects()
    spec = one(made, "NetworkPolicy", "flights-tm")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"][1:] == [rule]


def test_one_taskmanager_may_be_evicted_at_a_time_and_a_jobmanager_of_a_pair() -> None:
    def budgets(spec: Spec) -> list[str]:
        found = [o for o in objects(spec) if o["kind"] == "PodDisruptionBudget"]
        assert all(o["spec"]["maxUnavailable"] == 1 for o in found)
        assert all(o["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for o in found)
        return [o["metadata"]["name"] for o in found]

    assert budgets(MINIMAL) == ["flights-tm"]
    assert budgets(EVERYTHING) == ["flights-tm", "flights-jm"]


def test_another_script_is_another_object() -> None:
    def script(text: str) -> Object:
        made = objects({**STORAGE, "job": {"script": text}})
        return next(o for o in made if "-script-" in o["metadata"]["name"])

    a, b = script("a = 1"), script("a = 2")
    assert a["metadata"]["name"] != b["metadata"]["name"]
    assert script("a = 1") == a
    assert a["immutable"] is True


def test_a_pod_of_each_workload_can_be_tried() -> None:
    made = rendered(EVERYTHING)
    manager, worker = trial_pods(made)
    for pod, kind in ((manager, "Deployment"), (worker, "StatefulSet")):
        workload = one(made.objects(), kind)
        template = workload["spec"]["template"]
        assert pod["metadata"]["name"] == workload["metadata"]["name"]
        assert pod["metadata"]["labels"] == template["metadata"]["labels"]
        assert pod["spec"]["containers"] == template["spec"]["containers"]
    assert {"flowjob-scratch"} == {
        v["name"] for v in worker["spec"]["volumes"] if "persistentVolumeClaim" in v
    }


# -- owners


def test_the_flowjob_owns_everything_unless_a_savepoint_is_to_be_taken_first() -> None:
    made = rendered(SAVEPOINT)
    owned = to_apply(made, JOB, NOW)
    assert all(o["metadata"]["ownerReferences"][0]["uid"] == JOB.uid for o in owned)
    free = to_apply(made, JOB, Now(restore=Restore(), task_managers=1, owned=False))
    without = {o["kind"] for o in free if "ownerReferences" not in o["metadata"]}
    assert without == {"Deployment", "StatefulSet"}


def test_rendered_objects_are_not_changed_by_applying_them() -> None:
    made = rendered(EVERYTHING)
    before = copy.deepcopy(made)
    to_apply(made, JOB, Now(restore=Restore(expected="s3://b/x"), task_managers=7))
    assert made == before


# -- what is kept


def test_a_stateful_set_does_not_take_our_revisions_for_its_own() -> None:
    """Its controller adopts those that its selector selects and nobody controls."""
    revision, made = a_revision(MINIMAL), rendered(MINIMAL)
    body = controller_revision(JOB, revision, made)
    selector = one(made.objects(), "StatefulSet")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= body["metadata"]["labels"].items()
    assert body["metadata"]["ownerReferences"][0]["controller"] is True


def kept(spec: Spec, **fields: Any) -> tuple[Any, Rendered, Object]:
    revision = a_revision(spec, **fields)
    made = render(JOB, revision, PLATFORM)
    return revision, made, controller_revision(JOB, revision, made)


@pytest.mark.parametrize("example", SPECS)
def test_what_was_kept_is_read_as_it_was(example: str) -> None:
    revision, made, body = kept(SPECS[example], code=CODE.get(example))
    again = json.loads(json.dumps(body))
    assert read_controller_revision(again) == (revision, made)
    assert body["metadata"]["annotations"][CONTENT] == made.content


def test_a_program_is_kept_once() -> None:
    script = "# ü\n" * (SCRIPT_BYTES // 5)
    _, _, body = kept({**STORAGE, "job": {"script": script}})
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 2 * SCRIPT_BYTES


@pytest.mark.parametrize("example", SPECS)
def test_the_hash_is_that_of_the_content(example: str) -> None:
    made = rendered(SPECS[example])
    assert made.content == rendered(SPECS[example]).content
    assert made.content != rendered(SPECS[example], number=4).content
    others = {rendered(spec).content for spec in SPECS.values()}
    assert len(others) == len(SPECS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.pop("data"),
        lambda body: body["data"].pop("revision"),
        lambda body: body["data"]["objects"].pop("File"),
        lambda body: body["data"]["revision"].update(number="x"),
        lambda body: body.update(data={"spec": {"template": {}}}),
        lambda body: body["data"].update(objects=[]),
        lambda body: body["data"]["revision"].update(written=None),
    ],
)
def test_one_that_is_damaged_or_anothers_is_refused_by_name(damage: Any) -> None:
    body = json.loads(json.dumps(kept(MINIMAL)[2]))
    damage(body)
    with pytest.raises(UnreadableRevision, match="ControllerRevision flights-3"):
        read_controller_revision(body)


# -- parts


def test_parts_that_are_not_fresh_are_taken_over_word_for_word() -> None:
    before = render(JOB, a_revision(MINIMAL, number=3), PLATFORM)
    rolled = a_revision({**MINIMAL, "taskManager": {"slots": 2}}, number=4, base=3, previous=3)
    other_platform = Platform(namespace="elsewhere")
    after = render(JOB, rolled, other_platform, frozenset({Part.TASK_MANAGERS, Part.FILE}), before)
    for part in (Part.SHARED, Part.JOB_MANAGER):
        assert after.parts[part] == before.parts[part]
    assert one(after.objects(), "Deployment")["metadata"]["name"] == "flights-jm-3"
    assert one(after.objects({Part.FILE}), "ConfigMap")["metadata"]["name"] == "flights-file-3"
    old, new = (one(r.objects(), "StatefulSet")["spec"]["template"] for r in (before, after))
    assert old["metadata"]["labels"][REVISION_LABEL] == "3"
    assert new["metadata"]["labels"][REVISION_LABEL] == "4"


def test_pods_keep_the_label_of_the_template_they_are_made_from() -> None:
    before = render(JOB, a_revision(MINIMAL, number=3), PLATFORM)
    live = a_revision(MINIMAL, number=4, base=3, template=3, previous=3)
    after = render(JOB, live, PLATFORM, frozenset({Part.FILE}), before)
    assert one(after.objects(), "StatefulSet") == one(before.objects(), "StatefulSet")


def test_nothing_can_be_taken_over_from_nothing() -> None:
    with pytest.raises(ValueError, match="revision 3 takes over objects of one that is not there"):
        render(JOB, a_revision(MINIMAL), PLATFORM, frozenset({Part.FILE}))


def test_only_the_wanted_parts_are_applied_what_is_mounted_before_what_mounts() -> None:
    made = rendered(SCRIPT)
    kinds = [o["kind"] for o in to_apply(made, JOB, NOW, {Part.TASK_MANAGERS, Part.FILE})]
    assert kinds == ["ConfigMap", "StatefulSet"]
    order = [o["kind"] for o in to_apply(made, JOB, NOW)]
    assert order.index("Deployment") > max(n for n, k in enumerate(order) if k == "ConfigMap")
