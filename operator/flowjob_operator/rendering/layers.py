"""Defaults as platforms write them, of the chart or of a namespace's ConfigMap: values by path, each judged on its own.

One that does not fit is left out, with a sentence that names layer and field, so that a mistake in a ConfigMap stops no
job. Knows the fields of a FlowJob; not what they are for."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import pydantic
import yaml

from flowjob.cluster.artifact_rules import PREFIX as ARTIFACT_RULES
from flowjob_operator.core.observed import Defaults
from flowjob_operator.core.settings import put, take
from flowjob_operator.rendering.protection import refusals
from flowjob_operator.resources import fields
from flowjob_operator.resources.fields import quantity
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import Source
from flowjob_operator.resources.model import leaves

CONFIG_MAP: Final = "flowjob-defaults"
"""The ConfigMap of a namespace."""

LAYERS: Final = MappingProxyType(
    {
        Source.CHART: "the chart's defaults",
        Source.NAMESPACE: f"the ConfigMap {CONFIG_MAP} of this namespace",
    }
)

LONGEST_TEXT: Final = 16_384
"""Of a value that is YAML."""

_PATHS: Final = {leaf.path: leaf for leaf in leaves(FlowJobSpec)}

OF_THE_PROGRAM: Final = frozenset(
    path
    for path in _PATHS
    if path.startswith("job.")
    and not path.startswith(("job.restarts.", "job.parallelism", "job.stop."))
)
ALWAYS_SAID: Final = frozenset({"deletionPolicy", "upgrade.mode"})
"""The API server has filled them in before anybody could."""

MAPS: Final = frozenset({"config"})
"""Merged by their keys, which have layers of their own."""

OF_PLATFORMS: Final = f"config.{ARTIFACT_RULES}"
"""Settings that begin so, once a platform has said them, are not for others to say: from where code may be fetched."""

TEMPLATES: Final = frozenset({"jobManager.podTemplate", "taskManager.podTemplate"})
"""Merged over each other."""

_MEANT: Final = MappingProxyType(
    {
        fields.LONGER_THAN_NOTHING: "it is a duration such as 90s or 10m, longer than nothing",
        fields.DURATION: "it is a duration such as 500ms or 10s",
        fields.INTERVAL: "it is a duration such as 10s, or Off",
        fields.STORAGE: "it is s3://bucket/prefix, or file:///directory",
        fields.URL: "it is a link such as https://host:9000",
        fields.NAME: "it is a name of a-z, 0-9, - and .",
        fields.SCHEDULE: "it is five fields of cron, @daily, or @every 6h",
    }
)
"""What a pattern asks for, in words."""

DEFAULTABLE: Final = tuple(p for p in _PATHS if p not in OF_THE_PROGRAM | ALWAYS_SAID)
"""Paths that a platform may say something about, in the order of the reference."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Values as on the wire, by path; keys of maps as `config.<key>`. `problems`: what was left out, and why."""

    source: Source
    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()


def read_layer(defaults: Defaults) -> Layer:
    """Never raises: whatever a person has written."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for path, value in _flat("", dict(defaults.values)):
        try:
            values[path] = _read(path, value)
        except _Unfit as why:
            problems.append(f"{LAYERS[defaults.source]}: {path}: {why}. It is left out.")
    return Layer(defaults.source, values, tuple(problems))


class _Unfit(Exception):
    pass


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Groups may be written as maps, and as text that is one."""
    if value is None:
        return
    is_group = not path or path in MAPS or any(p.startswith(f"{path}.") for p in _PATHS)
    inside = _parsed(value) if is_group and isinstance(value, str) else value
    if is_group and isinstance(inside, Mapping):
        for name, item in inside.items():
            yield from _flat(f"{path}.{name}" if path else str(name), item)
    else:
        yield path, value


def _read(path: str, value: Any) -> Any:
    """As on the wire. Raises _Unfit."""
    head = next((m for m in MAPS if path.startswith(f"{m}.")), None)
    if head is not None:
        try:
            return _by_model(head, {path: value})[path]
        except (ValueError, pydantic.ValidationError) as error:
            raise _Unfit(f"`{_short(value)}` does not fit: {_reason(error)}") from None
    if path in OF_THE_PROGRAM:
        raise _Unfit("it belongs to each FlowJob, and cannot have a default")
    if path in ALWAYS_SAID:
        raise _Unfit("it cannot have a default: the API server fills it in when a FlowJob is made")
    if path in MAPS or path not in _PATHS:
        if path in MAPS or any(p.startswith(f"{path}.") for p in _PATHS):
            raise _Unfit(f"`{_short(value)}` does not fit: it has fields of its own")
        near = difflib.get_close_matches(path, DEFAULTABLE, n=1)
        raise _Unfit(f"there is no such field{f', but {near[0]}' if near else ''}")
    checked = _checked(path, value)
    if path in TEMPLATES and (wrong := refusals(checked)):
        raise _Unfit("; ".join(wrong))
    return checked


def _checked(path: str, value: Any) -> Any:
    """By the model, as text first: `4` may be a name as well as a number."""
    readings = [value]
    if isinstance(value, str) and not isinstance(parsed := _parsed(value), str | None):
        readings.append(parsed)
    why = ""
    for reading in readings:
        try:
            return _by_model(path, reading)
        except (ValueError, pydantic.ValidationError) as error:
            why = _reason(error)
    raise _Unfit(f"`{_short(value)}` does not fit: {why}")


def _by_model(path: str, value: Any) -> Any:
    wire: dict[str, Any] = {"job": {}}
    put(wire, path, value)
    found = take(FlowJobSpec.of(wire).wire(), path)
    if found is None:
        raise ValueError("it says nothing")
    _check_quantities(path, found)
    if isinstance(value, Mapping) and isinstance(found, Mapping) and path not in TEMPLATES:
        unknown = sorted(value.keys() - found.keys())
        if unknown:
            raise ValueError(f"there is no field {', '.join(unknown)} in it")
    return found


def _check_quantities(path: str, value: Any) -> None:
    """Patterns that only the API server knows of. Raises ValueError."""
    match path:
        case "checkpoints.spillBytes":
            quantity(value)
        case "taskManager.localVolume":
            quantity(value["size"])
        case "jobManager.resources" | "taskManager.resources":
            requests, limits = value.get("requests", {}), value.get("limits", {})
            sizes = {name: quantity(size) for name, size in limits.items()}
            for name, size in requests.items():
                if quantity(size) > sizes.get(name, quantity(size)):
                    raise ValueError(f"requests of {name} must not exceed limits")


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them can mean gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not understood here")
        return super().compose_node(parent, index)


@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """The text itself, where it is no YAML: a date that is none, a number too long are ValueErrors. Each text is read
    once, and what is found never changed: some take a second, and each job of a namespace asks, again and again."""
    if len(text) > LONGEST_TEXT:
        return text
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return text


def _reason(error: Exception) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    said = []
    for detail in error.errors():
        pattern = str((detail.get("ctx") or {}).get("pattern"))
        said.append(_MEANT.get(pattern) or str(detail["msg"]))
    return "; ".join(said)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
