"""Structural schemas, as Kubernetes wants them, from models.

pydantic writes JSON Schema; the API server takes a part of it: no references, one type per value, no null beside it (an
optional field is one that may be absent), no titles. Defaults are dropped but where a field says that it shows one,
since a default that is written into objects could not be overridden by a platform any more."""

from __future__ import annotations

from typing import Any, Final

from flowjob_operator.resources.model import Model

_BOUNDS: Final = (
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
)
_KEPT: Final = (
    "description",
    "type",
    "format",
    "enum",
    *_BOUNDS,
    "required",
    "x-kubernetes-validations",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
_DROPPED: Final = frozenset({"title", "default", "$ref", "$defs", "additionalProperties", "const"})
_LARGEST_INT32: Final = 2**31 - 1


def structural(model: type[Model]) -> dict[str, Any]:
    """The schema of `model`. Raises ValueError, naming the place, for a type that Kubernetes has no schema for."""
    written = model.model_json_schema(by_alias=True)
    return _Inlining(written.get("$defs", {})).schema(written, model.__name__)


def unbounded(schema: dict[str, Any]) -> dict[str, Any]:
    """The same without bounds and patterns. For a status: only the operator writes it, and one that the API server
    refuses would say nothing at all."""
    made = {key: part for key, part in schema.items() if key not in _BOUNDS}
    if "properties" in made:
        made["properties"] = {name: unbounded(part) for name, part in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = unbounded(made[key])
    return made


class _Inlining:
    """Puts definitions in the place of references to them."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def schema(self, node: dict[str, Any], place: str) -> dict[str, Any]:
        node = self._without_null(self._resolved(node), place)
        unknown = (
            set(node) - set(_KEPT) - _DROPPED - {"properties", "items", "anyOf", "x-shown-default"}
        )
        if unknown:
            raise ValueError(f"{place}: Kubernetes has no {', '.join(sorted(unknown))} in schemas")
        made: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
        if made.get("type") == "integer":
            made["format"] = _width(node)
        if "x-shown-default" in node:
            made["default"] = node["x-shown-default"]
        if "properties" in node:
            made["properties"] = {
                name: self.schema(part, f"{place}.{name}")
                for name, part in node["properties"].items()
            }
        elif isinstance(node.get("additionalProperties"), dict):
            made["additionalProperties"] = self.schema(node["additionalProperties"], f"{place}.*")
        if "items" in node:
            made["items"] = self.schema(node["items"], f"{place}[]")
        if "anyOf" in node:
            made["anyOf"] = node["anyOf"]
        elif "type" not in made:
            raise ValueError(f"{place}: a value needs one type")
        return made

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        """What stands beside a reference is about this field, and goes before what it refers to."""
        if "$ref" not in node:
            return node
        target = self._definitions[node["$ref"].removeprefix("#/$defs/")]
        return {**self._resolved(target), **node}

    def _without_null(self, node: dict[str, Any], place: str) -> dict[str, Any]:
        if "anyOf" not in node or node.get("x-kubernetes-int-or-string"):
            return node
        options = [option for option in node["anyOf"] if option != {"type": "null"}]
        if len(options) != 1:
            raise ValueError(f"{place}: Kubernetes has no unions but of integer and string")
        own = {key: value for key, value in node.items() if key != "anyOf"}
        return self._without_null({**self._resolved(options[0]), **own}, place)


def _width(node: dict[str, Any]) -> str:
    return "int32" if node.get("maximum", _LARGEST_INT32 + 1) <= _LARGEST_INT32 else "int64"
