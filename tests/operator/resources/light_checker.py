"""What can be checked of CRDs without an API server: that schemas are structural, and which objects they take.

The rules are those of Kubernetes' documentation of structural schemas and list types. CEL is beyond it: those rules are
tested against a real API server (test_in_an_api_server.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema

Schema = dict[str, Any]

ALLOWED = {
    *("description", "type", "format", "enum", "pattern", "default", "required", "properties"),
    *("additionalProperties", "items", "anyOf", "minimum", "maximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "maxProperties", "x-kubernetes-validations"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
}
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def complaints(schema: Schema, place: str) -> Iterator[str]:
    """All that an API server would refuse the schema for, as far as we use schemas."""
    unknown = set(schema) - ALLOWED
    if unknown:
        yield f"{place}: {sorted(unknown)}"
    if schema.get("x-kubernetes-int-or-string"):
        if "type" in schema or schema.get("anyOf") != INT_OR_STRING:
            yield f"{place}: int-or-string stands in the place of a type"
    elif "anyOf" in schema or not isinstance(schema.get("type"), str):
        yield f"{place}: one type is needed"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{place}: properties and additionalProperties exclude each other"
    if set(schema.get("required", ())) - set(schema.get("properties", ())):
        yield f"{place}: requires what it does not have"
    if schema.get("type") == "array" and "items" not in schema:
        yield f"{place}: a list without items"
    keys = schema.get("x-kubernetes-list-map-keys", [])
    if (schema.get("x-kubernetes-list-type") == "map") != bool(keys):
        yield f"{place}: a list that is a map has keys"
    if set(keys) - set(schema.get("items", {}).get("required", ())):
        yield f"{place}: keys of a list are required in its items"
    if "pattern" in schema and re.search(r"\(\?[=!<]|\\[0-9]", schema["pattern"]):
        yield f"{place}: RE2 has neither look-around nor references back"
    if any(abs(schema.get(bound, 0)) >= 2**53 for bound in ("minimum", "maximum")):
        yield f"{place}: bounds are floating-point numbers, this one is not exact"
    for name, part in parts(schema):
        yield from complaints(part, f"{place}.{name}")


def parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield from schema.get("properties", {}).items()
    if isinstance(schema.get("additionalProperties"), dict):
        yield "*", schema["additionalProperties"]
    if "items" in schema:
        yield "[]", schema["items"]


def everything_in(schema: Schema, place: str = "") -> Iterator[tuple[str, Schema]]:
    """Paths and schemas, the whole first."""
    yield place, schema
    for name, part in parts(schema):
        yield from everything_in(part, f"{place}.{name}" if place else name)


def errors(schema: Schema, value: Any) -> list[str]:
    """What is wrong with a value, as far as a schema can tell."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{'.'.join(str(p) for p in e.absolute_path)}: {e.message}" for e in found]
