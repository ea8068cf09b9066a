"""CustomResourceDefinitions of our kinds, as the plain data that goes into YAML.

Pure; generate.py writes the files. What a kind consists of is said in kinds.py."""

from __future__ import annotations

from typing import Any

from flowjob_operator.resources.kinds import CATEGORY, CRD_VERSION, GROUP, VERSION, Column, Kind
from flowjob_operator.resources.schema import structural, unbounded


def definition(kind: Kind) -> dict[str, Any]:
    """The object to apply."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "annotations": {f"{GROUP}/crd-version": str(CRD_VERSION)},
            "labels": {"app.kubernetes.io/part-of": "flowjob"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(c) for c in kind.columns],
                    "subresources": _subresources(kind),
                    "schema": {"openAPIV3Schema": object_schema(kind)},
                }
            ],
        },
    }


def object_schema(kind: Kind) -> dict[str, Any]:
    """Of a whole object, as `kubectl explain` shows it."""
    rules = [rule.wire() for rule in kind.rules]
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": unbounded(structural(kind.status)),
        },
        **({"x-kubernetes-validations": rules} if rules else {}),
    }


def _subresources(kind: Kind) -> dict[str, Any]:
    made: dict[str, Any] = {"status": {}}
    if kind.scale is not None:
        made["scale"] = {
            "specReplicasPath": kind.scale.wanted,
            "statusReplicasPath": kind.scale.actual,
            "labelSelectorPath": kind.scale.selector,
        }
    return made


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.wide:
        made["priority"] = 1
    return made
