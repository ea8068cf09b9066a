"""FlowSnapshots that the operator makes by itself: as the installation that made them finds them, and nobody else.

They stand in no git, have no owner, and take their data along: whoever deploys the job from a repository must not take
them for something that was left behind. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from flowjob_operator.core.actions import FACT, MADE_BY, CreateSnapshot
from flowjob_operator.rendering.naming import JOB_LABEL, NAME_LABEL
from flowjob_operator.resources.kinds import API_VERSION, Metadata

Object = dict[str, Any]

OF_NO_REPOSITORY: Final = MappingProxyType(
    {
        "argocd.argoproj.io/sync-options": "Prune=false",
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    }
)

_VALUES: Final = re.compile(r"\([^)]*\)")
_KEY: Final = re.compile(r"\s*!?\s*([\w./-]+)")


def snapshot(job: Metadata, action: CreateSnapshot, selector: str | None) -> Object:
    """`selector`: labels of what the installation looks after, as `kubectl -l`; None: nobody has said, so all that the
    job has are taken over."""
    labels = selected(job.labels, selector)
    labels |= {NAME_LABEL: "flowjob", JOB_LABEL: job.name, MADE_BY: action.made_by}
    notes = {FACT: action.fact} if action.fact else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "FlowSnapshot",
        "metadata": {
            "name": action.name,
            "namespace": job.namespace,
            "labels": labels,
            "annotations": {**OF_NO_REPOSITORY, **notes},
        },
        "spec": action.spec.wire(),
    }


def selected(labels: Mapping[str, str], selector: str | None) -> dict[str, str]:
    """Those that a selector (`team=x,tier in (a, b),!old`) asks about. By all others, tools know what they deploy."""
    if selector is None:
        return dict(labels)
    parts = _VALUES.sub("", selector).split(",")
    asked = {found[1] for part in parts if (found := _KEY.match(part))}
    return {name: value for name, value in labels.items() if name in asked}
