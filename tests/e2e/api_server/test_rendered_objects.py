"""What the operator renders, in a real API server: it is taken to the letter, says no more than it must, and stays.

Pods are tried one by one, where the pod security standard `restricted` is enforced: workloads are only warned about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import Restore
from flowjob_operator.identity.identities import job_identity
from flowjob_operator.rendering.naming import MANAGER, REVISION_LABEL, Names
from flowjob_operator.rendering.owners import owned_by
from flowjob_operator.rendering.quantities import canonical
from flowjob_operator.rendering.revisions import (
    Now,
    controller_revision,
    read_controller_revision,
    render,
    to_apply,
)
from flowjob_operator.rendering.secrets import authority_secret, identity_secret
from flowjob_operator.rendering.short_jobs import (
    StorageTask,
    preflight,
    storage_work,
    storage_work_by_access,
)
from flowjob_operator.rendering.trying import trial_pods
from flowjob_operator.resources.flowsnapshot import StorageAccess
from flowjob_operator.resources.kinds import LONGEST_NAME
from tests.e2e.cluster.api import Api, Refusal
from tests.operator.identity.examples import NOW as MIDDAY
from tests.operator.identity.examples import an_authority, counted_randomness
from tests.operator.rendering import examples
from tests.operator.rendering.examples import IMAGE, PLATFORM, SPECS, a_revision

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

Object = dict[str, Any]
PLURALS = {"NetworkPolicy": "networkpolicies"}


def place(body: Object) -> str:
    """Where the object is in the API, without its name."""
    version, kind = body["apiVersion"], body["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return (
        f"{root}/namespaces/{body['metadata']['namespace']}/{PLURALS.get(kind, kind.lower() + 's')}"
    )


def apply(api: Api, body: Object) -> Object:
    """As the operator does. Unknown and doubled fields are refused."""
    path = f"{place(body)}/{body['metadata']['name']}"
    return api.apply(path, body, manager=f"{MANAGER}&fieldValidation=Strict", force=True)


def create(api: Api, body: Object, options: str = "") -> Object:
    return api.create(f"{place(body)}?fieldValidation=Strict{options}", body)


@pytest.fixture
def restricted(api: Api, namespace: str) -> str:
    """A namespace where only restricted pods may be."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": enforced}})
    return namespace


@pytest.fixture(scope="session", autouse=True)
def priority(api: Api) -> None:
    """The class that the example's template names."""
    api.create(
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "streaming"},
            "value": 1,
        },
    )


def a_job(namespace: str, name: str = "flights") -> JobId:
    return JobId(namespace, name, "11111111-2222-3333-4444-555555555555")


def now(task_managers: int = 2, expected: str | None = None, owned: bool = True) -> Now:
    return Now(restore=Restore(expected=expected), task_managers=task_managers, owned=owned)


def objects(namespace: str, example: str, name: str = "flights", number: int = 3) -> list[Object]:
    revision = a_revision(SPECS[example], number, code=examples.CODE.get(example))
    job = a_job(namespace, name)
    return to_apply(render(job, revision, PLATFORM), job, now())


def all_short_jobs(namespace: str, name: str = "flights", number: int = 9) -> list[Object]:
    job = a_job(namespace, name)
    revisions = [
        a_revision(spec, number - place, code=examples.CODE.get(example))
        for place, (example, spec) in enumerate(SPECS.items())
    ]
    access = StorageAccess.of({"secretRef": {"name": "s3"}, "caBundleRef": {"name": "ca"}})
    found: list[Object] = []
    for revision in revisions:
        found += preflight(job, revision, Restore(), 300.0, PLATFORM)
    found += storage_work(
        job, StorageTask(f"{name}-dispose", "dispose", None), revisions[1], PLATFORM
    )
    found += storage_work_by_access(
        JobId(namespace, "", ""),
        StorageTask("verify-1", "verify", "s3://b/x"),
        access,
        IMAGE,
        PLATFORM,
    )
    return found


@pytest.mark.parametrize("example", SPECS)
def test_every_object_is_taken_and_applying_it_again_changes_nothing(
    api: Api, restricted: str, example: str
) -> None:
    made = objects(restricted, example)
    first = [apply(api, body) for body in made]
    for body, before in zip(made, first, strict=True):
        assert apply(api, body)["metadata"]["resourceVersion"] == version(before)
        assert said(body, before) == []


def version(body: Object) -> str:
    return str(body["metadata"]["resourceVersion"])


def said(body: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of what was said and is not there, to the letter: so an operator sees what somebody else has changed."""
    if isinstance(body, dict):
        if not isinstance(kept, dict):
            return [path]
        return [p for k, v in body.items() for p in said(v, kept.get(k), f"{path}.{k}")]
    if isinstance(body, list):
        if not isinstance(kept, list) or len(kept) != len(body):
            return [path]
        return [p for n, (a, b) in enumerate(zip(body, kept)) for p in said(a, b, f"{path}[{n}]")]
    return [] if body == kept or not (body or kept) else [path]


@pytest.mark.parametrize("example", SPECS)
def test_every_pod_is_restricted(api: Api, restricted: str, example: str) -> None:
    made = [*objects(restricted, example), *all_short_jobs(restricted)]
    pods = list(pods_of(made))
    assert len(pods) >= 4
    for pod in pods:
        create(api, pod, "&dryRun=All")


def test_a_pod_that_is_not_restricted_would_be_refused(api: Api, restricted: str) -> None:
    pod = next(pods_of(objects(restricted, "small")))
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(Refusal, match="violates PodSecurity"):
        create(api, pod, "&dryRun=All")


def pods_of(made: list[Object]) -> Iterator[Object]:
    for number, body in enumerate(made):
        template = body.get("spec", {}).get("template")
        if template is not None:
            namespace = body["metadata"]["namespace"]
            metadata = {**template["metadata"], "name": f"pod-{number}", "namespace": namespace}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
            claims = body["spec"].get("volumeClaimTemplates", [])
            claimed = [{"name": c["metadata"]["name"], "emptyDir": {}} for c in claims]
            spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *claimed]}
            yield json.loads(json.dumps({**pod, "spec": spec}))


def with_template(**fields: Any) -> examples.Spec:
    return {**examples.MINIMAL, "taskManager": {"podTemplate": {"spec": fields}}}


CAPABLE = {"name": "x", "image": "x", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"nodeSelectr": {"a": "b"}}, 400, 'unknown field "spec.nodeSelectr"'),
        ({"terminationGracePeriodSeconds": "long"}, 400, "terminationGracePeriodSeconds"),
        ({"tolerations": {"key": "a"}}, 400, "tolerations"),
        ({"containers": [{"name": "flowjob", "envv": []}]}, 400, 'spec.containers[0].envv"'),
        ({"containers": [{"name": "x"}]}, 422, "spec.containers[1].image: Required value"),
        ({"containers": [CAPABLE]}, 403, "violates PodSecurity"),
        ({"hostNetwork": True}, 403, "violates PodSecurity"),
        ({"priorityClassName": "none"}, 403, "no PriorityClass with name none was found"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_before_anything_is_made(
    api: Api, restricted: str, fields: Object, status: int, says: str
) -> None:
    job = a_job(restricted)
    made = render(job, a_revision(with_template(**fields)), PLATFORM)
    manager, worker = trial_pods(made)
    create(api, manager, "&dryRun=All")
    with pytest.raises(Refusal) as refusal:
        create(api, worker, "&dryRun=All")
    assert refusal.value.status == status
    assert says in refusal.value.message


def test_a_quota_that_a_pod_exceeds_is_said_before_anything_is_made(
    api: Api, restricted: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": restricted},
        "spec": {"hard": {"requests.memory": "1Mi"}},
    }
    made = api.create(place(quota), quota)
    # What its controller does, which does not run here.
    status = {"hard": made["spec"]["hard"], "used": {"requests.memory": "0"}}
    api.patch(f"{place(quota)}/small/status", {"status": status})
    for pod in trial_pods(render(a_job(restricted), a_revision(SPECS["small"]), PLATFORM)):
        with pytest.raises(Refusal, match="exceeded quota: small"):
            create(api, pod, "&dryRun=All")


def test_short_jobs_are_taken(api: Api, restricted: str) -> None:
    for body in all_short_jobs(restricted):
        create(api, owned_by(body, a_job(restricted), "FlowSnapshot"))


def test_names_are_short_enough_for_the_longest_name(api: Api, restricted: str) -> None:
    name = "j" * LONGEST_NAME
    made = [
        *objects(restricted, "everything", name, 9_999_999),
        *all_short_jobs(restricted, name, 9_999_999),
    ]
    for body in made:
        apply(api, body)
        assert len(body["metadata"]["name"]) <= 63


def test_another_revision_has_another_deployment_and_leaves_the_set_its_selector(
    api: Api, restricted: str
) -> None:
    for number in (3, 4):
        for body in objects(restricted, "small", number=number):
            apply(api, body)
    path = f"/apis/apps/v1/namespaces/{restricted}"
    names = [d["metadata"]["name"] for d in api.get(f"{path}/deployments")["items"]]
    assert sorted(names) == ["flights-jm-3", "flights-jm-4"]
    found = api.get(f"{path}/statefulsets/flights-tm")
    assert found["spec"]["template"]["metadata"]["labels"][REVISION_LABEL] == "4"


def test_the_same_pods_may_be_more_and_begin_with_something_else(api: Api, restricted: str) -> None:
    job = a_job(restricted)
    made = render(job, a_revision(SPECS["savepoint"]), PLATFORM)
    for moment in (now(2), now(5, "s3://bucket/x"), now(5, "s3://bucket/x", owned=False)):
        for body in to_apply(made, job, moment):
            apply(api, body)
    path = f"/apis/apps/v1/namespaces/{restricted}/statefulsets/flights-tm"
    found = api.get(path)
    assert found["spec"]["replicas"] == 5
    assert "ownerReferences" not in found["metadata"]
    assert found["metadata"]["generation"] == 2
    file = api.get(f"/api/v1/namespaces/{restricted}/configmaps/flights-file-3")
    assert json.loads(file["data"]["job.json"])["restore"]["expected"] == "s3://bucket/x"
    assert "ownerReferences" in file["metadata"]


def test_repair_brings_back_what_somebody_has_changed(api: Api, restricted: str) -> None:
    made = objects(restricted, "small")
    before = [apply(api, body) for body in made]
    for body in made:
        path = f"{place(body)}/{body['metadata']['name']}"
        match body["kind"]:
            case "Deployment":
                api.patch(path, {"spec": {"template": {"spec": {"enableServiceLinks": True}}}})
            case "Service":
                api.patch(path, {"spec": {"selector": {"app.kubernetes.io/component": "other"}}})
            case "PodDisruptionBudget":
                api.delete(path)
    after = [apply(api, body) for body in made]
    assert [b.get("spec") for b in before] == [a.get("spec") for a in after]


@pytest.mark.parametrize("example", SPECS)
def test_a_controller_revision_is_kept_and_read_back(
    api: Api, restricted: str, example: str
) -> None:
    job, revision = a_job(restricted), a_revision(SPECS[example])
    made = render(job, revision, PLATFORM)
    kept = create(api, controller_revision(job, revision, made))
    assert read_controller_revision(kept) == (revision, made)
    with pytest.raises(Refusal, match="immutable"):
        api.replace(f"{place(kept)}/{kept['metadata']['name']}", {**kept, "data": {"other": 1}})


def test_quantities_are_written_as_the_server_keeps_them(api: Api, restricted: str) -> None:
    written = ["2", "0.5", "2000m", "1500m", "1024Mi", "1.5Gi", "0.5Ki", "1000M", "1500M", "1000"]
    written += ["0", "0Gi", "1e3", "1.5e3", "12E2", "1Ei", "1n", "0.0000000001", "1.1Mi", "100e-3"]
    pod = next(pods_of(objects(restricted, "small")))
    pod["spec"]["volumes"] += [
        {"name": f"v{n}", "emptyDir": {"sizeLimit": size}} for n, size in enumerate(written)
    ]
    made = create(api, pod, "&dryRun=All")
    kept = [v["emptyDir"]["sizeLimit"] for v in made["spec"]["volumes"][-len(written) :]]
    assert [canonical(size) for size in written] == kept


def test_secrets_are_created_and_replaced_without_being_read(api: Api, restricted: str) -> None:
    job = a_job(restricted)
    randomness = counted_randomness()
    first, second = (
        identity_secret(job, job_identity(an_authority(), job, MIDDAY, randomness)) for _ in "ab"
    )
    create(api, first)
    with pytest.raises(Refusal) as refusal:
        create(api, second)
    assert refusal.value.status == 409
    replaced = api.replace(f"{place(second)}/{Names(job).identity}", second)
    assert replaced["data"] == second["data"] != first["data"]
    create(api, authority_secret("flowjob-authority", restricted, an_authority()))


def test_a_secret_of_somebody_else_is_not_written_over(api: Api, restricted: str) -> None:
    job = a_job(restricted)
    ours = identity_secret(job, job_identity(an_authority(), job, MIDDAY, counted_randomness()))
    theirs = {**ours, "type": "Opaque", "data": {"password": "eA=="}}
    create(api, theirs)
    with pytest.raises(Refusal) as refusal:
        api.replace(f"{place(ours)}/{Names(job).identity}", ours)
    assert refusal.value.status == 422
    assert "immutable" in str(refusal.value)


def test_a_program_cannot_be_changed_under_pods_that_run(api: Api, restricted: str) -> None:
    made = objects(restricted, "script")
    (script,) = (
        o for o in made if o["kind"] == "ConfigMap" and "-script-" in o["metadata"]["name"]
    )
    apply(api, script)
    with pytest.raises(Refusal, match="immutable"):
        apply(api, {**script, "data": {"job.py": "another"}})
