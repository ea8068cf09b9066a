"""Pickles a job that was written interactively: in a notebook, a console or the main script.

cloudpickle carries functions and classes that other processes cannot import; row classes need help, because they are
made by their fields and not by their dictionary. Only ever read what this job's own client has written."""

from __future__ import annotations

import inspect
import io
import sys
from typing import Any

import cloudpickle
import msgspec

from flowjob.schema import Schema, resolved_annotations


def dumps(value: Any) -> bytes:
    """`value` as bytes that `pickle.loads` reads wherever flowjob is installed."""
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(value)
    return out.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and issubclass(obj, Schema) and not _importable(obj):
            return rebuild, _recipe(obj)
        return super().reducer_override(obj)


def _importable(cls: type[Any]) -> bool:
    """Whether another process finds this very class under its name."""
    if cls.__module__ == "__main__" or cls is Schema:
        return cls is Schema
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls or hasattr(sys.modules.get(cls.__module__), cls.__name__)


_Recipe = tuple[str, str, str, tuple[type[Any], ...], list[tuple[str, Any, Any]], dict[str, Any]]


def _recipe(cls: type[Schema]) -> _Recipe:
    """Name, module, qualified name, bases, fields and everything else of a row class."""
    own = inspect.get_annotations(cls)
    types = resolved_annotations(cls)
    fields = [
        (f.name, types[f.name], _default(f))
        for f in msgspec.structs.fields(cls)
        if f.name in own and f.name in types
    ]
    names = {name for name, _, _ in fields}
    extras = {
        name: value
        for name, value in vars(cls).items()
        if name not in names and not name.startswith("__")
    }
    return cls.__name__, cls.__module__, cls.__qualname__, cls.__bases__, fields, extras


def _default(given: msgspec.structs.FieldInfo) -> Any:
    options: dict[str, Any] = {}
    if given.default is not msgspec.NODEFAULT:
        options["default"] = given.default
    if given.default_factory is not msgspec.NODEFAULT:
        options["default_factory"] = given.default_factory
    if given.encode_name != given.name:
        options["name"] = given.encode_name
    return options


def rebuild(
    name: str,
    module: str,
    qualname: str,
    bases: tuple[type[Any], ...],
    fields: list[tuple[str, Any, Any]],
    extras: dict[str, Any],
) -> type[Any]:
    """The row class again, from what `dumps` wrote of it."""
    namespace: dict[str, Any] = {**extras, "__module__": module, "__qualname__": qualname}
    namespace["__annotations__"] = {attribute: annotation for attribute, annotation, _ in fields}
    for attribute, _, options in fields:
        if options:
            namespace[attribute] = msgspec.field(**options)
    metaclass: Any = type(Schema)
    made: type[Any] = metaclass(name, bases, namespace)
    return made
