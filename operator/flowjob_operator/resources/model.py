"""The base of all parts of our kinds: camelCase on the wire, immutable, with CEL rules beside their fields.

Walks over models as well, by the types that were written down. Knows no kind; schema.py makes Kubernetes schemas of
models, changes.py compares two of them."""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    NamedTuple,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition in CEL that the API server checks; `self` is the object the rule belongs to.

    One that names `oldSelf` is a transition rule, checked on updates only. Kubernetes skips the rules of a field that
    is removed: whatever must not change belongs to the object around it, with has()."""

    condition: str
    message: str
    field: str | None = None

    def wire(self) -> dict[str, str]:
        path = {} if self.field is None else {"fieldPath": f".{self.field}"}
        return {"rule": self.condition, "message": self.message, **path}


@dataclass(frozen=True, slots=True)
class SameAs:
    """Marks a type whose values may be written in several ways: those with one `key` mean the same."""

    key: Callable[[Any], Any]


class Model(BaseModel):
    """Unknown fields are ignored: the object may have been written under a newer CRD.

    rules       checked by the API server, not here
    is_opaque   changes only as a whole: its fields have no class of their own
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    is_opaque: ClassVar[bool] = False

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            schema["x-kubernetes-validations"] = [rule.wire() for rule in cls.rules]
        return schema

    @classmethod
    def of(cls, wire: Any) -> Self:
        """From an object of the API. Raises pydantic's ValidationError, which names every field that is wrong."""
        return cls.model_validate(wire)

    def wire(self) -> dict[str, Any]:
        """As the API takes it: fields that are not set are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Leaf(NamedTuple):
    """A field that has a value rather than fields. `path` is as users write it: `job.parallelism`."""

    path: str
    attributes: tuple[str, ...]
    annotation: Any

    def value(self, of: Model) -> Any:
        """In a model of the kind that the path begins at. Groups that are absent are empty ones."""
        found: Any = of
        for name in self.attributes:
            found = getattr(found, name, None)
        return found


def leaves(model: type[Model]) -> Iterator[Leaf]:
    """All leaves below `model`, in the order in which they are declared. Lists and maps are leaves."""
    hints = types_of(model)
    for name, field in model.model_fields.items():
        path = field.alias or name
        inner = model_in(hints[name])
        if inner is None or inner.is_opaque:
            yield Leaf(path, (name,), hints[name])
        else:
            for leaf in leaves(inner):
                yield Leaf(f"{path}.{leaf.path}", (name, *leaf.attributes), leaf.annotation)


@functools.cache
def types_of(model: type[Model]) -> dict[str, Any]:
    """Types by field name, with the markers that pydantic takes off."""
    return get_type_hints(model, include_extras=True)


def model_in(annotation: Any) -> type[Model] | None:
    """The model that a field holds one of, or None."""
    for option in alternatives(annotation):
        if isinstance(option, type) and issubclass(option, Model):
            return option
    return None


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, without None; any other type alone. Markers are kept on the members, not around a union."""
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return tuple(a for a in get_args(annotation) if a is not types.NoneType)
    if origin is Annotated and get_origin(get_args(annotation)[0]) in (Union, types.UnionType):
        return (annotation,)
    return (annotation,)


def comparable(value: Any, annotation: Any) -> Any:
    """Plain data that is equal for values that mean the same. None, {} and [] all mean that nothing was said, except
    inside of data that is not ours (Any): there `emptyDir: {}` says something, and 1 is not true."""
    if annotation is Any:
        return json.dumps(value, sort_keys=True)
    if value is None:
        return None
    (annotation, *_) = alternatives(annotation)
    if get_origin(annotation) is Annotated:
        annotation, *markers = get_args(annotation)
        for marker in markers:
            if isinstance(marker, SameAs):
                return marker.key(value)
        return comparable(value, annotation)
    if isinstance(value, Model):
        hints = types_of(type(value))
        parts = {n: comparable(getattr(value, n), hints[n]) for n in type(value).model_fields}
        return {name: part for name, part in parts.items() if part is not None} or None
    if isinstance(value, dict):
        of_values = (get_args(annotation) or (str, Any))[1]
        return {k: comparable(v, of_values) for k, v in value.items()} or None
    if isinstance(value, list | tuple):
        (of_items, *_) = get_args(annotation) or (Any,)
        return [comparable(item, of_items) for item in value] or None
    return value
