"""From what is wished of a job to a merge patch of its FlowJob. Pure.

A merge patch sets what it names, removes what it names null, and leaves the rest. Whether another manager owns a field
is looked at by kubernetes_client.py before it is sent."""

from __future__ import annotations

from typing import Any

from flowjob.client.flowjob_objects import Object, part
from flowjob.client.models import UpgradeWish
from flowjob.client.steering import RestoreSource
from flowjob.errors import BadRequest

Patch = dict[str, Any]


def of_job(**fields: Any) -> Patch:
    """Of `spec.job`."""
    return {"spec": {"job": fields}}


def scaled(parallelism: int) -> Patch:
    return of_job(parallelism=parallelism)


def suspended(found: Object, *, drain: bool) -> Patch:
    """`drain` stays said in a spec: what it was before is taken back where it is not wanted."""
    patch = of_job(state="Suspended")
    if drain or part(found, "spec", "job", "stop", "drain"):
        patch["spec"]["job"]["stop"] = {"drain": drain or None}
    return patch


def resumed(parallelism: int | None) -> Patch:
    return of_job(state="Running", **({} if parallelism is None else {"parallelism": parallelism}))


def cancelled() -> Patch:
    return of_job(state="Cancelled")


def restarted(found: Object) -> Patch:
    return of_job(restartNonce=_next(found, "restartNonce"))


def restored(found: Object, source: RestoreSource) -> Patch:
    """Raises BadRequest for a path that no pod could read."""
    if source.path is not None and "://" not in source.path:
        raise BadRequest(
            f"`{source.path}` is a path of this machine, and the job's pods have another",
            next_step="Say s3://bucket/…, file:///… on a volume of the pods, or the name of a FlowSnapshot",
        )
    given = {"snapshot": source.snapshot, "path": source.path, "job": source.job}
    return of_job(restoreFrom=given, restoreNonce=_next(found, "restoreNonce"), state="Running")


def _next(found: Object, nonce: str) -> int:
    """Another number than the one before, and than the one that was acted upon last."""
    said = part(found, "spec", "job", nonce)
    done = part(found, "status", "nonces", nonce.removesuffix("Nonce"))
    return 1 + max((n for n in (said, done) if isinstance(n, int)), default=0)


def upgraded(wish: UpgradeWish) -> Patch:
    job: Patch = {}
    spec: Patch = {"job": job}
    if wish.image is not None:
        spec["image"] = wish.image
    if wish.script is not None:
        job |= {"script": wish.script, "entrypoint": None, "artifact": None, "main": None}
    if wish.args is not None:
        job["args"] = dict(wish.args)
    if wish.parallelism is not None:
        job["parallelism"] = wish.parallelism
    if wish.allow_non_restored is not None:
        job["allowNonRestored"] = wish.allow_non_restored
    if wish.config is not None:
        spec["config"] = dict(wish.config)
    if wish.checkpoints is not None:
        spec["checkpoints"] = dict(wish.checkpoints)
    if wish.mode is not None:
        spec["upgrade"] = {"mode": wish.mode}
    if not job:
        del spec["job"]
    return {"spec": spec}


def savepoint_object(namespace: str, job: str, name: str | None) -> Patch:
    """A FlowSnapshot that has one taken. Without a name the API server makes one."""
    named = {"name": name} if name else {"generateName": f"{job}-"}
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowSnapshot",
        "metadata": {"namespace": namespace, **named},
        "spec": {"jobRef": {"name": job}, "type": "Savepoint"},
    }
