"""Row types: a class whose annotations are the columns of a stream.

Instances are frozen structs without garbage-collector overhead: what row functions get. `row_class` makes such a class
for a derived stream. Must not know batches: converting rows is runtime/rows.py."""

from __future__ import annotations

import inspect
import keyword
import re
import sys
import typing
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow as pa

from flowjob.column_types import ValueType, value_type, value_type_of_field
from flowjob.errors import SchemaError
from flowjob.plan.types import HIDDEN_PREFIX, StreamType

_GENERATED = "Row_"
_FIELDS_SHOWN = 12


@typing.dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Schema(msgspec.Struct, frozen=True, gc=False):
    """Base of row types. Fields are columns, in order; `T | None` is a nullable one; defaults are allowed.

        class Flight(fj.Schema):
            origin: str
            delay: float | None

    A column whose name is no Python identifier: `delay: float = msgspec.field(name="dep delay")`.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # String annotations of a class made inside a function can name its locals, which are gone later.
        scope = _names_in_scope(cls, sys._getframe(1).f_locals)
        if scope:
            setattr(cls, "__flowjob_scope__", scope)  # noqa: B010 - not a column, so not declared

    @classmethod
    def arrow_schema(cls) -> pa.Schema:
        """The Arrow schema of this row type. Raises SchemaError for an annotation that is no column type."""
        return arrow_schema(cls)

    @classmethod
    def stream_type(cls) -> StreamType:
        """The type of a stream of such rows."""
        return stream_type(cls)

    @classmethod
    def __flowjob_fields__(cls) -> list[pa.Field]:
        return [column.value.field(column.name) for column in columns_of(cls)]


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a Schema class: `attribute` in Python, `name` in the stream."""

    attribute: str
    name: str
    value: ValueType
    has_default: bool = False


def arrow_schema(cls: type[Schema]) -> pa.Schema:
    """Like `cls.arrow_schema()`, also for a class that has a column of that name."""
    return pa.schema([column.value.field(column.name) for column in columns_of(cls)])


def stream_type(cls: type[Schema]) -> StreamType:
    """Like `cls.stream_type()`."""
    return StreamType(arrow_schema(cls), cls)


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of an annotation that stands alone, e.g. that of a key function. Raises SchemaError."""
    try:
        return value_type(annotation).arrow
    except SchemaError as error:
        raise SchemaError(f"{_text(annotation)}: {error}") from error


def columns_of(cls: type[Schema]) -> tuple[Column, ...]:
    """The columns of a Schema class. Annotations are read at the first call, so forward references may be used."""
    known = cls.__dict__.get("__flowjob_columns__")
    if known is None:
        known = _read_columns(cls)
        setattr(cls, "__flowjob_columns__", known)  # noqa: B010
    return typing.cast("tuple[Column, ...]", known)


def _read_columns(cls: type[Schema]) -> tuple[Column, ...]:
    if cls.__dict__.get("__flowjob_reading__"):
        raise SchemaError("a Schema cannot contain itself: columns have a fixed depth")
    setattr(cls, "__flowjob_reading__", True)  # noqa: B010
    try:
        # Not msgspec.structs.fields: it evaluates annotations without the scope of the class.
        annotations = resolved_annotations(cls)
        names = zip(cls.__struct_fields__, cls.__struct_encode_fields__)
        found = tuple(_read_column(cls, a, name, annotations[a]) for a, name in names)
    finally:
        setattr(cls, "__flowjob_reading__", False)  # noqa: B010
    if not found:
        raise SchemaError(f"{cls.__qualname__} has no columns: annotate at least one field")
    return found


def _read_column(cls: type[Schema], attribute: str, name: str, annotation: Any) -> Column:
    where = f"{cls.__qualname__}.{attribute}: {_text(annotation)}"
    if name.startswith(HIDDEN_PREFIX):
        raise SchemaError(f"{where}\n  names beginning with {HIDDEN_PREFIX} are reserved")
    try:
        value = value_type(annotation)
    except SchemaError as error:
        raise SchemaError(f"{where}\n  {error}") from error
    fields, defaults = cls.__struct_fields__, cls.__struct_defaults__  # the last ones' defaults
    position = fields.index(attribute) - len(fields) + len(defaults)
    has_default = position >= 0 and defaults[position] is not msgspec.NODEFAULT
    return Column(attribute, name, value, has_default)


def class_text(cls: type[Any]) -> str:
    """How messages call a type: by its name, a row class with its columns: `Sale(shop: str, amount: float | None)`."""
    name = cls.__qualname__.rpartition("<locals>.")[2]
    if not issubclass(cls, Schema) or cls is Schema:
        return name
    try:
        columns = columns_of(cls)
    except SchemaError:  # it is being told what is wrong with it
        return name
    fields = [f"{c.attribute}: {_python_text(c.value)}" for c in columns[:_FIELDS_SHOWN]]
    if len(columns) > _FIELDS_SHOWN:
        fields.append(f"and {len(columns) - _FIELDS_SHOWN} more")
    return f"{cls.__name__ if name.startswith(_GENERATED) else name}({', '.join(fields)})"


def _python_text(value: ValueType) -> str:
    name = getattr(value.python, "__name__", None) or str(value.python)
    return f"{name} | None" if value.nullable else name


def _text(annotation: Any) -> str:
    return annotation.__name__ if type(annotation) is type else str(annotation)


def resolved_annotations(cls: type[Schema]) -> dict[str, Any]:
    """Resolved annotations of all fields, those of base classes included."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, Schema) or base is Schema:
            continue
        scope = {base.__name__: base, **base.__dict__.get("__flowjob_scope__", {})}
        for name, annotation in inspect.get_annotations(base).items():
            if name in cls.__struct_fields__:  # a ClassVar is no column
                found[name] = _resolve(base, name, annotation, scope)
    return found


def _resolve(cls: type[Schema], name: str, annotation: Any, scope: Mapping[str, Any]) -> Any:
    holder: Any = SimpleNamespace(__annotations__={name: annotation})
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(holder, module, dict(scope), include_extras=True)[name]
    except NameError as error:
        raise SchemaError(
            f"{cls.__qualname__}.{name}: {annotation}\n  {error}. Import or define it at the top level of the module, "
            f"or above {cls.__name__} in the same function"
        ) from error
    except (SyntaxError, TypeError, SchemaError) as error:
        raise SchemaError(f"{cls.__qualname__}.{name}: {annotation}\n  {error}") from error


def _names_in_scope(cls: type[Schema], scope: Mapping[str, Any]) -> dict[str, Any]:
    """The locals that the class's string annotations name; empty at module level."""
    if "<locals>" not in cls.__qualname__:
        return {}
    try:
        annotations = inspect.get_annotations(cls)
    except NameError:  # evaluated late (Python 3.14), and then with its own closure
        return {}
    words = {w for a in annotations.values() if isinstance(a, str) for w in re.findall(r"\w+", a)}
    return {word: scope[word] for word in words & scope.keys()}


def row_class(schema: pa.Schema) -> type[Schema]:
    """A row class for the rows of a derived stream; the same one for an equal schema. Hidden columns are left out.

    A column whose name is no identifier gets a similar attribute: `dep delay` is `row.dep_delay`, `class` `row.class_`.
    Its rows pickle by schema, so any process can read them."""
    visible = [f.remove_metadata() for f in schema if not f.name.startswith(HIDDEN_PREFIX)]
    return _row_class(pa.schema(visible))


@lru_cache(maxsize=1024)
def _row_class(schema: pa.Schema) -> type[Schema]:
    attributes = _attribute_names(schema.names)
    columns = tuple(
        Column(attribute, f.name, value_type_of_field(f, row_class))
        for attribute, f in zip(attributes, schema)
    )
    code = _GENERATED + zlib.compress(schema.serialize().to_pybytes()).hex()
    # Pickling looks a class up by module and qualified name: `__getattr__` below makes it from the name.
    namespace: dict[str, Any] = {"__qualname__": code, "__flowjob_columns__": columns}
    fields = [(c.attribute, c.value.python, msgspec.field(name=c.name)) for c in columns]
    made = msgspec.defstruct("Row", fields, bases=(Schema,), module=__name__, namespace=namespace)
    return typing.cast("type[Schema]", made)


def _attribute_names(names: list[str]) -> list[str]:
    """An identifier for each column, distinct."""
    found: list[str] = []
    for name in names:
        attribute = re.sub(r"\W", "_", name)
        if not attribute or attribute[0].isdigit():
            attribute = f"_{attribute}"
        if keyword.iskeyword(attribute):
            attribute += "_"
        base, number = attribute, 2
        while attribute in found or (attribute != name and attribute in names):
            attribute, number = f"{base}_{number}", number + 1
        found.append(attribute)
    return found


def __getattr__(name: str) -> Any:
    if not name.startswith(_GENERATED):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    code = bytes.fromhex(name.removeprefix(_GENERATED))
    return _row_class(pa.ipc.read_schema(pa.py_buffer(zlib.decompress(code))))
