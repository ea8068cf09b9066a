"""Answers as JSON, with every field, and with an ETag so that what has not changed is not sent again.

JobManagers leave out what is as by default; clients of this service need no defaults. Encoding is msgspec's, because a
graph may have 25,000 subtasks."""

from __future__ import annotations

import functools
import operator
import types
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Union, get_args, get_origin
from urllib.parse import quote

import msgspec
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from flowjob_api.schemas.operations import Operation

JSON: Final = "application/json"

Encoded = Response
"""Already JSON: FastAPI neither checks nor encodes it again."""


def encoded(
    request: Request, value: msgspec.Struct | BaseModel | bytes, *, etag: str | None = None
) -> Encoded:
    """The answer of a GET. `etag`: the version of what was asked for; else one is made of the content."""
    body = value if isinstance(value, bytes) else body_of(value)
    strong = None if etag is None else f'"{etag}"'
    tag = strong or f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if strong is None and tag in _tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


def encoded_plainly(value: BaseModel) -> Encoded:
    """An answer that nobody keeps."""
    return Response(body_of(value), headers={"Cache-Control": "no-store"}, media_type=JSON)


def accepted(request: Request, operation: Operation) -> Encoded:
    """202, and where to ask what has become of it, under whatever sub-path this is served."""
    root = request.scope.get("root_path") or ""
    where = f"{root}/api/v1/operations/{quote(operation.id, safe='.')}"
    headers = {"Location": where, "Cache-Control": "no-store"}
    return Response(body_of(operation), 202, headers=headers, media_type=JSON)


def body_of(value: msgspec.Struct | BaseModel) -> bytes:
    """JSON with every field."""
    if isinstance(value, BaseModel):
        return value.model_dump_json(by_alias=True).encode()
    return msgspec.json.encode(msgspec.convert(value, _full(type(value)), from_attributes=True))


def full(value: msgspec.Struct) -> Any:
    """Plain data of it, with every field, as on the wire."""
    return msgspec.to_builtins(msgspec.convert(value, _full(type(value)), from_attributes=True))


@cache
def _full(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same fields, none of which is left out."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        default: Any = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        elif isinstance(default, msgspec.Struct):
            default = msgspec.convert(default, _full(type(default)), from_attributes=True)
        elif default is msgspec.NODEFAULT:
            default = msgspec.field()
        fields.append((field.name, _full_type(field.type), default))
    return msgspec.defstruct(kind.__name__, fields, rename="camel", kw_only=True, frozen=True)


def _full_type(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _full(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (list, dict):
        return origin[tuple(_full_type(a) for a in args)]
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, (_full_type(a) for a in args))
    return kind


def _tags(header: str) -> set[str]:
    return {part.strip() for part in header.split(",")}
