"""What a job was set to, by section and key, without its secrets.

A key that sounds like a secret hides its value, and so does a password in an address. It must not know who asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from flowjob.cluster.job_details import Configuration
from flowjob.core.redacting import REDACTED, by_looks, is_secret_name
from flowjob.runtime.job_description import EntrypointSource
from flowjob.runtime.jobmanager.request import JobRequest

Value = str | int | float | bool | None


def configuration_of(request: JobRequest) -> Configuration:
    """Of the job as it runs."""
    job, source = request.job, request.job.source
    sections: dict[str, dict[str, Any]] = {
        "job": {
            "name": job.name, "run": job.run_id, "parallelism": job.parallelism,
            "maxParallelism": request.graph.max_parallelism, "digest": job.digest,
        },
        "processes": {
            "heartbeatInterval": request.heartbeat_interval, "heartbeatTimeout": request.heartbeat_timeout,
            "stopGrace": request.stop_grace, "metricsInterval": job.metrics_interval,
            **_fields(request.timeouts, "timeout"),
        },
    }  # fmt: skip
    if isinstance(source, EntrypointSource):
        sections["job"]["program"] = source.target
        sections["arguments"] = dict(source.args)
    if job.run:
        sections["run"] = _flat(job.run)
    if request.checkpoints is not None:
        sections["checkpoints"] = _fields(request.checkpoints)
    if job.checkpoints is not None:
        location = job.checkpoints.location
        sections["checkpoints"] |= {
            "storage": f"{location.url.rstrip('/')}/{job.checkpoints.root}",
            "endpoint": location.endpoint, "region": location.region,
        }  # fmt: skip
    if request.restarts is not None:
        kind = type(request.restarts).__name__
        sections["restarts"] = {"strategy": kind, **_fields(request.restarts)}
    return Configuration(
        sections={
            name: {key: redacted(key, value) for key, value in values.items()}
            for name, values in sections.items()
        }
    )


def redacted(key: str, value: object) -> Value:
    """`value` as it may be shown: plain, and without secrets."""
    if is_secret_name(key) and value not in (None, "", False):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_secrets(str(value.value if isinstance(value, Enum) else value))


def without_secrets(text: str) -> str:
    """A text in which secrets may stand: `password=…`, `scheme://user:password@host`."""
    return by_looks(text)


def _fields(settings: object, prefix: str = "") -> dict[str, Any]:
    """Public fields of a dataclass, in camelCase."""
    if not dataclasses.is_dataclass(settings):
        return {}
    names = [f.name for f in dataclasses.fields(settings) if not f.name.startswith("_")]
    return {_camel(f"{prefix}_{n}" if prefix else n): getattr(settings, n) for n in names}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found
