"""A spec with all defaults filled in, and who has said what: built in < chart < namespace < spec.

What the program itself may say (checkpoint settings, restarts, key groups) has no built-in value here: the engine knows
it, after it has seen the program. Pure."""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from flowjob_operator.core.observed import Defaults
from flowjob_operator.core.revision import Revision
from flowjob_operator.core.settings import put, take
from flowjob_operator.rendering.layers import (
    DEFAULTABLE,
    LAYERS,
    MAPS,
    OF_PLATFORMS,
    TEMPLATES,
    Layer,
    read_layer,
)
from flowjob_operator.rendering.merging import merge
from flowjob_operator.rendering.naming import CONTAINER
from flowjob_operator.rendering.protection import refusals
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import EffectiveValue, Source

MOST_VALUES: Final = 128
LONGEST_VALUE: Final = 1024

BUILT_IN: Final = MappingProxyType(
    {
        "serviceAccountName": "default",
        "job.parallelism": 1,
        "job.stop.drain": False,
        "snapshots.retention.count": 10,
        "upgrade.fallback": "LastState",
        "upgrade.savepointTimeout": "10m",
        "upgrade.preflight": "Run",
        "upgrade.preflightTimeout": "5m",
        "upgrade.slotsTimeout": "5m",
        "upgrade.rollback.enabled": False,
        "upgrade.rollback.checkpoints": 3,
        "upgrade.rollback.deadline": "10m",
        "jobManager.replicas": 1,
        "jobManager.resources": {
            "requests": {"cpu": "100m", "memory": "768Mi"},
            "limits": {"memory": "768Mi"},
        },
        "taskManager.slots": 1,
        "security.dataPlane": "Plain",
        "metrics.detail": "Vertex",
        "deletionTimeout": "10m",
        "priorState": "Refuse",
    }
)
"""By path. TaskManagers' resources depend on their slots: `task_manager_resources`."""

STRATEGY: Final = "job.restarts.strategy"

_CPU_PER_SLOT = 250
_MEMORY_PER_SLOT, _MEMORY_BESIDE = 768, 256


def task_manager_resources(slots: int) -> dict[str, dict[str, str]]:
    """Per slot a quarter of a core (in thousandths; more may be used) and 768 MiB; 256 MiB for the process that starts
    them."""
    memory = f"{_MEMORY_PER_SLOT * slots + _MEMORY_BESIDE}Mi"
    return {
        "requests": {"cpu": f"{_CPU_PER_SLOT * slots}m", "memory": memory},
        "limits": {"memory": memory},
    }


@dataclass(frozen=True, slots=True)
class Effective:
    """spec      with defaults filled in: what a revision keeps
    values    status.effective
    problems  sentences: defaults that do not fit, and are left out as if they were not there
    refused   sentences: why the job cannot be deployed so
    """

    spec: FlowJobSpec
    values: dict[str, EffectiveValue] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def effective(
    written: FlowJobSpec, defaults: Iterable[Defaults] = (), image: str | None = None
) -> Effective:
    """`image`: the operator's default one, which is the chart's word."""
    layers = [read_layer(one) for one in sorted(defaults, key=_precedence)]
    said = written.wire()
    stack = [Layer(Source.BUILT_IN, BUILT_IN)]
    if image:
        stack.append(Layer(Source.CHART, {"image": image}))
    stack += [*layers, Layer(Source.SPEC, _said(said))]
    found, sources = _combined(stack)
    if "taskManager.resources" not in found:
        found["taskManager.resources"] = task_manager_resources(found["taskManager.slots"])
        sources["taskManager.resources"] = Source.BUILT_IN
    for path, value in found.items():
        _put(said, path, value)
    spec = FlowJobSpec.of(said)
    return Effective(
        spec=spec,
        values=_values(found, sources),
        problems=tuple(problem for layer in layers for problem in layer.problems),
        refused=tuple(_refused(written, spec, sources)),
    )


def complete(revision: Revision) -> Revision:
    """With a value for everything that objects are made of, whoever has settled its spec."""
    return revision.model_copy(update={"spec": effective(revision.spec).spec})


def _precedence(defaults: Defaults) -> int:
    return list(Source).index(defaults.source)


def _said(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the user has said about what platforms have defaults for. Nothing, {} and [] say nothing."""
    said: dict[str, Any] = {}
    for path in DEFAULTABLE:
        value = take(spec, path)
        if path in MAPS:
            said |= {f"{path}.{key}": item for key, item in (value or {}).items()}
        elif not _says_nothing(value):
            said[path] = value
    return said


def _says_nothing(value: Any) -> bool:
    """`resources: {}` is read as two empty maps."""
    if isinstance(value, Mapping):
        return all(_says_nothing(item) for item in value.values())
    return value is None or value == []


def _combined(stack: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, Source]]:
    found: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for layer in stack:
        if layer.values.get(STRATEGY, found.get(STRATEGY)) != found.get(STRATEGY):
            # What was said of another strategy means nothing to this one.
            for path in [path for path in found if path.startswith("job.restarts.")]:
                del found[path], sources[path]
        for path, value in layer.values.items():
            if path.startswith(OF_PLATFORMS) and path in found:
                continue
            if path in TEMPLATES and path in found and not refusals(value):
                value = merge(found[path], value)
            found[path] = value
            sources[path] = layer.source
    return found, sources


def _put(spec: dict[str, Any], path: str, value: Any) -> None:
    head = next((m for m in MAPS if path.startswith(f"{m}.")), None)
    if head is None:
        put(spec, path, value)
    else:  # names of settings have dots
        spec.setdefault(head, {})[path.removeprefix(f"{head}.")] = value


def _values(found: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, EffectiveValue]:
    """In the order of the reference, settings of the engine last: where there are too many, some of those go."""
    order = {path: number for number, path in enumerate(DEFAULTABLE)}
    paths = sorted(found, key=lambda path: (order.get(path, math.inf), path))
    return {
        path: EffectiveValue(value=_text(found[path]), source=sources[path])
        for path in paths[:MOST_VALUES]
    }


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(", ", ": "))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _refused(
    written: FlowJobSpec, spec: FlowJobSpec, sources: Mapping[str, Source]
) -> Iterable[str]:
    """What rules in CEL cannot see, because it takes the defaults to see it."""
    if spec.image is None:
        yield "spec.image is not said, and the operator has no default image: say it, or set the chart's jobs.image"
    for role in ("jobManager", "taskManager"):
        part = written.job_manager if role == "jobManager" else written.task_manager
        for why in refusals(part.pod_template) if part.pod_template is not None else ():
            yield f"spec.{role}.podTemplate: {why}"
    checkpoints = spec.checkpoints
    if checkpoints.storage is None and spec.job_manager.replicas == 2:
        yield (
            f"{_where('jobManager.replicas', sources)} is 2, which needs checkpoints.storage: the log there decides "
            "which JobManager leads"
        )
    if checkpoints.storage is None and spec.job.artifact is not None:
        yield "spec.job.artifact needs checkpoints.storage: the program is kept there"
    if checkpoints.mode is not None and checkpoints.unaligned is not None:
        waits = checkpoints.mode.value == "AtLeastOnce"
        if waits and checkpoints.unaligned.value != "Never":
            yield (
                f"{_where('checkpoints.unaligned', sources)} is {checkpoints.unaligned.value}, but with mode "
                f"AtLeastOnce ({_where('checkpoints.mode', sources)}) barriers wait for nothing: say Never"
            )
    parallelism, most = spec.job.parallelism or 1, spec.job.max_parallelism
    if most is not None and parallelism > most:
        yield (
            f"{_where('job.parallelism', sources)} is {parallelism}, more than maxParallelism {most}: say a smaller one"
        )
    for name, value in written.config.items():
        path = f"config.{name}"
        if path.startswith(OF_PLATFORMS) and str(value) != str(spec.config[name]):
            yield f"spec.{path} is settled by {LAYERS[sources[path]]}: leave it out"
    yield from _storage_refused(spec)


def _storage_refused(spec: FlowJobSpec) -> Iterable[str]:
    """A directory that is on no volume is lost with its pod, and read-only besides."""
    location = spec.checkpoints.storage
    if location is None or not location.startswith("file://"):
        return
    directory = posixpath.normpath(location.removeprefix("file://"))
    for role, part in (("jobManager", spec.job_manager), ("taskManager", spec.task_manager)):
        if not any(_is_below(directory, mount) for mount in _mounts(part.pod_template)):
            yield (
                f"checkpoints.storage is the directory {directory}, but {role}.podTemplate mounts no volume there: "
                f"mount the same volume into the container `{CONTAINER}` of JobManager and TaskManagers"
            )


def _mounts(template: Any) -> Iterable[str]:
    found = merge({"spec": {"containers": []}}, template or {})["spec"]
    if not isinstance(found, Mapping) or not isinstance(found.get("containers"), list):
        return
    for container in found["containers"]:
        if isinstance(container, Mapping) and container.get("name") == CONTAINER:
            for mount in container.get("volumeMounts") or ():
                if isinstance(mount, Mapping):
                    yield posixpath.normpath(str(mount.get("mountPath", "")))


def _is_below(directory: str, mount: str) -> bool:
    return directory == mount or directory.startswith(mount.rstrip("/") + "/")


def _where(path: str, sources: Mapping[str, Source]) -> str:
    """The field, with who has said it."""
    source = sources.get(path, Source.SPEC)
    if source in LAYERS:
        return f"{path} (by {LAYERS[source]})"
    return f"spec.{path}" if source is Source.SPEC else path
