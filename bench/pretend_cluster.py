"""What is around an operator under load: an API server, pods that nobody runs, and one server that is every JobManager.

Pods are objects with a status, made by the templates that the operator has applied. JobManagers have certificates of
the operator's own authority, so that it asks them as it asks real ones."""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml
from aiohttp import web

from flowjob.cluster.control_api import Checkpointing, JobManagerView, Slots, Snapshot
from flowjob.cluster.identity import JOBMANAGER, JobId, identity_uri
from flowjob_operator.identity.authority import Authority, read_authority
from flowjob_operator.identity.certificates import Subject, new_leaf
from flowjob_operator.identity.identities import LIFE
from flowjob_operator.identity.randomness import system_randomness
from tests.e2e.cluster.api import Api
from tests.e2e.cluster.control_plane import control_plane, programs

ROOT = Path(__file__).parent.parent
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FLOWJOBS = "/apis/flowjob.dev/v1beta1/namespaces"
API_PORT = 7402
CHECKPOINT_SECONDS = 10.0

Object = dict[str, Any]


@contextmanager
def cluster(state: Path) -> Iterator[Api]:
    """With our kinds, and namespaces `operators` and `jobs`."""
    with control_plane(programs(), state) as api:
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            made = yaml.safe_load(path.read_text())
            api.create(DEFINITIONS, made)
            _wait_for(lambda name=made["metadata"]["name"]: _is_served(api, name))
        for name in ("operators", "jobs"):
            about = {"name": name}
            api.create(
                "/api/v1/namespaces",
                {"apiVersion": "v1", "kind": "Namespace", "metadata": about},
            )
        yield api


def kubeconfig(api: Api, file: Path) -> Path:
    cluster_ = {"server": api.address, "certificate-authority": str(api.certificates)}
    context = {"cluster": "it", "user": "it", "namespace": "operators"}
    config = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": context}],
        "clusters": [{"name": "it", "cluster": cluster_}],
        "users": [{"name": "it", "user": {"token": api.token}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def a_job(name: str) -> Object:
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {"name": name},
        "spec": {
            "job": {"entrypoint": "flights:job", "parallelism": 1},
            "checkpoints": {"storage": "s3://bucket/prefix"},
            "upgrade": {"preflight": "Skip"},
        },
    }


def give_pods(api: Api, names: list[str]) -> None:
    """A JobManager's and a TaskManager's to each job, Running and ready, as soon as there are templates for them."""

    def give(name: str) -> None:
        for path, pod in (
            (f"deployments/{name}-jm-1", f"{name}-jm-1-abcde"),
            (f"statefulsets/{name}-tm", f"{name}-tm-0"),
        ):
            owner = api.get(f"/apis/apps/v1/namespaces/jobs/{path}")
            _give_pod(api, owner, pod)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(give, names))


def _give_pod(api: Api, owner: Object, name: str) -> None:
    template = owner["spec"]["template"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    about = {**template["metadata"], "name": name, "ownerReferences": [reference]}
    pods = "/api/v1/namespaces/jobs/pods"
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}
    api.create(pods, body)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": now}]
    containers = [
        {
            "name": each["name"],
            "ready": True,
            "restartCount": 0,
            "image": each["image"],
            "imageID": "sha256:0",
            "state": {"running": {"startedAt": now}},
        }
        for each in template["spec"]["containers"]
    ]
    status = {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": ready,
        "containerStatuses": containers,
    }
    api.patch(f"{pods}/{name}/status", {"status": status})


def authority_of(api: Api) -> Authority:
    """The operator's, as soon as it has made it."""
    path = "/api/v1/namespaces/operators/secrets/flowjob-authority"
    return read_authority(api.get(path)["data"])


@dataclass
class JobManagers:
    """Every job's at once: whom a connection calls is known by the name that TLS sends along."""

    authority: Authority
    began: float = field(default_factory=time.monotonic)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)
    called: dict[int, JobId] = field(default_factory=dict)
    asked: int = 0

    async def serve(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/internal/v1/status", self._status)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        await web.TCPSite(runner, "127.0.0.1", API_PORT, ssl_context=context).start()
        return runner

    def _choose(self, connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        uid, job, namespace = (name or "..").split(".")
        if uid not in self.contexts:
            self.contexts[uid] = self._context(JobId(namespace, job, uid))
        connection.context = self.contexts[uid]

    def _context(self, job: JobId) -> ssl.SSLContext:
        uri = identity_uri(job.namespace, job.name, job.uid, JOBMANAGER)
        now = datetime.now(UTC)
        subject = Subject(job.name, uri)
        leaf = new_leaf(self.authority.signing, subject, LIFE, now, system_randomness())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            both = Path(folder) / "both.pem"
            both.write_bytes(leaf.certificate_pem + leaf.key_pem)
            context.load_cert_chain(both)
        self.called[id(context)] = job
        return context

    async def _status(self, request: web.Request) -> web.Response:
        self.asked += 1
        transport = request.transport
        assert transport is not None
        job = self.called[id(transport.get_extra_info("ssl_object").context)]
        number = int((time.monotonic() - self.began) / CHECKPOINT_SECONDS)
        taken = (self.began_at + timedelta(seconds=number * CHECKPOINT_SECONDS)).isoformat()
        latest = Snapshot(
            type="Checkpoint", id=number, path=f"s3://bucket/{number}", completed_at=taken
        )
        view = JobManagerView(
            uid=job.uid,
            revision=1,
            leader=1,
            state="Running",
            started_at=self.began_at.isoformat(),
            attempt=1,
            parallelism=1,
            max_parallelism=128,
            slots=Slots(needed=1, offered=1, task_managers=1),
            checkpoints=Checkpointing(latest=latest, completed=number),
        )
        return web.Response(body=msgspec.json.encode(view), content_type="application/json")


def _is_served(api: Api, name: str) -> bool:
    conditions = (api.get(f"{DEFINITIONS}/{name}").get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _wait_for(condition: Any, seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError("the cluster did not become ready")
        time.sleep(0.1)
