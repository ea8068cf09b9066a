"""The JSON schema of the chart's values: strict, so that a misspelt setting is an error and no silence.

`defaults` takes the fields of a FlowJob's spec that a platform may set, from the operator's own models; what Kubernetes
defines (affinity, volumes and so on) is left to the API server. Pure."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from flowjob_operator.process.settings import Settings, in_file
from flowjob_operator.rendering.layers import DEFAULTABLE
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.schema import structural

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
OBJECT: Final[Schema] = {"type": "object"}
NATURAL: Final[Schema] = {"type": "integer", "minimum": 1}
TEXTS_BY_NAME: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
NAME: Final[Schema] = {
    "type": "string",
    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "maxLength": 63,
}
DURATION: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"}
PROMETHEUS_DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
COUNT_OR_SHARE: Final[Schema] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
}

IMAGE_PATH: Final = "image"
"""Not among the defaults: jobs.image has it."""


BY_THE_CHART: Final = frozenset(
    {
        *(
            "owner",
            "lease",
            "namespaces",
            "labelSelector",
            "image",
            "defaults",
            "platform",
            "service",
        ),
        *("port", "concurrency", "resync", "logLevel", "logFormat"),
        *("namespace", "identity"),
    }
)
"""Settings of the operator that the chart gives by values of its own, or from where the pod is."""


def further_settings() -> list[str]:
    """All others, by their names in the file."""
    names = [in_file(field.name) for field in dataclasses.fields(Settings)]
    return [name for name in names if name not in BY_THE_CHART]


def list_of(item: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": item, **more}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def strict(**properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def default_paths() -> list[str]:
    """Fields of a FlowJob's spec that `defaults` may have."""
    return [path for path in DEFAULTABLE if path != IMAGE_PATH]


def _defaults() -> Schema:
    spec = structural(FlowJobSpec)
    return strict(**{path: _strict(_part(spec, path)) for path in default_paths()})


def _part(schema: Schema, path: str) -> Schema:
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def _strict(schema: Schema) -> Schema:
    """As JSON Schema, without what only Kubernetes understands; unknown fields are refused where it would drop them."""
    made = {
        k: v for k, v in schema.items() if not k.startswith("x-") and k not in ("format", "default")
    }
    if schema.get("x-kubernetes-int-or-string"):
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return made
    if "properties" in made:
        made["properties"] = {name: _strict(part) for name, part in made["properties"].items()}
        made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _strict(made[key])
    return made


def _image() -> Schema:
    return strict(
        registry=TEXT,
        repository={
            "type": "string",
            "pattern": "^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]([-a-z0-9._/]*[a-z0-9])?$",
        },
        tag={"type": "string", "pattern": "^[A-Za-z0-9_.-]*$", "maxLength": 128},
        digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        pullPolicy=one_of("Always", "IfNotPresent", "Never"),
    )


def _service_account(**more: Schema) -> Schema:
    return strict(create=FLAG, name=TEXT, annotations=TEXTS_BY_NAME, **more)


def _of_pods() -> dict[str, Schema]:
    return {
        "podLabels": TEXTS_BY_NAME,
        "podAnnotations": TEXTS_BY_NAME,
        "podSecurityContext": OBJECT,
        "securityContext": OBJECT,
        "resources": _resources(),
        "livenessProbe": _probe(),
        "readinessProbe": _probe(),
        "startupProbe": _probe(),
        "terminationGracePeriodSeconds": {"type": "integer", "minimum": 0},
        "nodeSelector": TEXTS_BY_NAME,
        "affinity": OBJECT,
        "tolerations": list_of(OBJECT),
        "topologySpreadConstraints": list_of(OBJECT),
        "priorityClassName": TEXT,
        "runtimeClassName": TEXT,
        "extraArgs": list_of(TEXT),
        "extraEnv": list_of({"type": "object", "required": ["name"]}),
        "extraEnvFrom": list_of(OBJECT),
        "extraVolumes": list_of({"type": "object", "required": ["name"]}),
        "extraVolumeMounts": list_of({"type": "object", "required": ["name", "mountPath"]}),
        "imagePullSecrets": list_of(strict(name=TEXT)),
        "podDisruptionBudget": strict(create=FLAG, maxUnavailable=COUNT_OR_SHARE),
    }


def _resources() -> Schema:
    quantities = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
    return strict(requests=quantities, limits=quantities, claims=list_of(OBJECT))


def _probe() -> Schema:
    names = ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")
    return strict(
        **dict.fromkeys(names, NATURAL), initialDelaySeconds={"type": "integer", "minimum": 0}
    )


def _of_permissions() -> dict[str, Schema]:
    return {
        "rbac": strict(create=FLAG, aggregate=FLAG),
        "serviceAccount": _service_account(),
        "admissionPolicy": strict(
            create=FLAG,
            images=list_of({"type": "string", "minLength": 1}),
            serviceAccounts=list_of(NAME),
            secrets=list_of(
                {
                    "type": "string",
                    "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\*?$|^[a-z0-9][-a-z0-9.]*\*$",
                }
            ),
            hostPath=FLAG,
            privileged=FLAG,
            actions=list_of(one_of("Deny", "Warn", "Audit"), minItems=1, uniqueItems=True),
            namespaceSelector=OBJECT,
        ),
        "crds": strict(install=FLAG, resources=_resources(), timeoutSeconds=NATURAL),
    }


def _of_monitoring() -> dict[str, Schema]:
    return {
        "service": strict(
            create=FLAG,
            port={"type": "integer", "minimum": 1, "maximum": 65535},
            annotations=TEXTS_BY_NAME,
        ),
        "serviceMonitor": strict(
            create=FLAG,
            labels=TEXTS_BY_NAME,
            interval=PROMETHEUS_DURATION,
            scrapeTimeout=PROMETHEUS_DURATION,
            relabelings=list_of(OBJECT),
            metricRelabelings=list_of(OBJECT),
        ),
        "podMonitor": strict(
            create=FLAG,
            labels=TEXTS_BY_NAME,
            interval=PROMETHEUS_DURATION,
            scrapeTimeout=PROMETHEUS_DURATION,
            relabelings=list_of(OBJECT),
            metricRelabelings=list_of(OBJECT),
        ),
        "grafanaDashboard": strict(
            enabled=FLAG,
            labels=TEXTS_BY_NAME,
            annotations=TEXTS_BY_NAME,
            namespace={"anyOf": [NAME, {"const": ""}]},
        ),
        "prometheusRule": strict(
            create=FLAG,
            labels=TEXTS_BY_NAME,
            alertLabels=TEXTS_BY_NAME,
            checkpointAgeSeconds=NATURAL,
            checkpointAgeFor=PROMETHEUS_DURATION,
            lagSeconds=NATURAL,
            restarts=NATURAL,
            backpressureShare={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            **{"for": PROMETHEUS_DURATION},
        ),
        "networkPolicy": strict(
            create=FLAG, restrictEgress=FLAG, egress=list_of(OBJECT), **{"from": list_of(OBJECT)}
        ),
    }


def _of_service() -> Schema:
    return strict(
        enabled=FLAG,
        replicas={"type": "integer", "minimum": 0, "maximum": 10},
        tlsSecret=TEXT,
        rootPath={"type": "string", "pattern": "^(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$"},
        proxies=TEXT,
        logLevel=one_of("debug", "info", "warning", "error"),
        service=strict(
            type=one_of("ClusterIP", "NodePort", "LoadBalancer"),
            port={"type": "integer", "minimum": 1, "maximum": 65535},
            annotations=TEXTS_BY_NAME,
        ),
        serviceAccount=_service_account(),
        resources=_resources(),
        extraEnv=list_of({"type": "object", "required": ["name"]}),
        podLabels=TEXTS_BY_NAME,
        podAnnotations=TEXTS_BY_NAME,
        affinity=OBJECT,
        topologySpreadConstraints=list_of(OBJECT),
        serviceMonitor=strict(tlsConfig=OBJECT),
        networkPolicy=strict(create=FLAG, **{"from": list_of(OBJECT)}),
    )


def schema() -> Schema:
    """Of the whole of values.yaml."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart flowjob",
        **strict(
            **{"global": OBJECT},  # of a chart around this one
            nameOverride=TEXT,
            fullnameOverride=TEXT,
            commonLabels=TEXTS_BY_NAME,
            commonAnnotations=TEXTS_BY_NAME,
            image=_image(),
            watchNamespaces=list_of(NAME, uniqueItems=True),
            labelSelector=TEXT,
            defaults=_defaults(),
            jobs=strict(
                image={**_image(), "properties": {**_image()["properties"], "pullPolicy": False}},
                serviceAccount=_service_account(namespaces=list_of(NAME, uniqueItems=True)),
                networkPolicy=strict(
                    create=FLAG,
                    prometheus=list_of(OBJECT),
                    restrictEgress=FLAG,
                    egress=list_of(OBJECT),
                ),
            ),
            replicas={"type": "integer", "minimum": 0, "maximum": 5},
            operator=strict(
                concurrency=NATURAL,
                resync=DURATION,
                logLevel=one_of("debug", "info", "warning", "error"),
                logFormat=one_of("json", "text"),
                settings=strict(**dict.fromkeys(further_settings(), SCALAR)),
            ),
            api=_of_service(),
            extraObjects=list_of({"type": ["object", "string"]}),
            **_of_pods(),
            **_of_permissions(),
            **_of_monitoring(),
        ),
    }
