"""Pods as a revision's workloads would make them, to be tried on the API server and never made.

A dry run of a Deployment or StatefulSet says nothing of what is judged when its pods are made: pod security, quotas,
limits, priority classes, ServiceAccounts. And where a template has a field that does not exist, applying is answered
with status 500, creating a pod (strictly) with 400 and the field's name. Pure."""

from __future__ import annotations

from typing import Any, Final

from flowjob_operator.rendering.revisions import Rendered

Object = dict[str, Any]

WORKLOADS: Final = ("Deployment", "StatefulSet")


def trial_pods(rendered: Rendered) -> list[Object]:
    """One pod of each workload, for a creation as a dry run. A problem of one is a problem of its workload, whose name
    it has."""
    workloads = (o for o in rendered.objects() if o["kind"] in WORKLOADS)
    return [_pod(workload) for workload in workloads]


def _pod(workload: Object) -> Object:
    template, about = workload["spec"]["template"], workload["metadata"]
    claims = workload["spec"].get("volumeClaimTemplates", [])
    # As the set's controller does it.
    claimed = [
        {
            "name": c["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": c["metadata"]["name"]},
        }
        for c in claims
    ]
    pod = template["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": about["name"],
            "namespace": about["namespace"],
        },
        "spec": {**pod, "volumes": [*pod["volumes"], *claimed]},
    }
