"""Who owns an object: the FlowJob or FlowSnapshot it was made for, with which Kubernetes collects it.

Never added to what outlives its maker: snapshots, and what a last savepoint is taken with."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.identity import JobId
from flowjob_operator.resources.kinds import API_VERSION

Object = dict[str, Any]

MADE_FOR = "flowjob.dev/made-for"
"""Annotation: uid of the object that a short Job works for, by which it is found again also where nobody owns it."""


def made_for(each: Object, owner: JobId) -> Object:
    """A copy that says so."""
    annotations = {**(each["metadata"].get("annotations") or {}), MADE_FOR: owner.uid}
    return {**each, "metadata": {**each["metadata"], "annotations": annotations}}


def goes_with(each: Object, job: Object) -> Object:
    """A copy that the Job owns, and nobody else: what was made for it. It never delays the Job's end."""
    about = job["metadata"]
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": about["name"],
        "uid": about["uid"],
        "controller": True,
    }
    return {**each, "metadata": {**each["metadata"], "ownerReferences": [reference]}}


def owned_by(each: Object, owner: JobId, kind: str = "FlowJob") -> Object:
    """A copy with the reference. Deleting the owner in the foreground waits for it."""
    reference = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {**each, "metadata": {**each["metadata"], "ownerReferences": [reference]}}
