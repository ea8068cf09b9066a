"""The kinds of values that our fields hold: durations, quantities, names, places; each with its pattern and bounds.

Patterns are what the API server checks (RE2), so they stand in the schema; what a text means is decided here.
Knows no kind."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

from pydantic import AwareDatetime, Field
from pydantic.json_schema import WithJsonSchema

from flowjob.args import parse_duration
from flowjob_operator.resources.model import Model, Rule, SameAs

_UNIT = r"(ms|s|m|h|d|w)"
_PART = rf"([0-9]+(\.[0-9]+)?{_UNIT})"
DURATION = rf"^{_PART}+$"
LONGER_THAN_NOTHING = (
    rf"^{_PART}*([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*){_UNIT}{_PART}*$"
)
OFF = "Off"
INTERVAL = rf"^{OFF}$|{LONGER_THAN_NOTHING}"
IMAGE = r"^\S+$"
URL = r"^https?://[^\s?#]+$"
QUANTITY = r"^[0-9]+(\.[0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
ENTRYPOINT = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_.]*)?$"
STORAGE = r"^(s3://[a-z0-9][a-z0-9.-]*[a-z0-9](/[^\s?#]*)?|file:///[^\s?#]+)$"
ARTIFACT = r"^[a-z][a-z0-9+.-]*://[^\s?#]+\.(py|zip|whl)$"
_CRON_FIELD = r"[0-9A-Za-z*/,-]+"
SCHEDULE = rf"^(@(hourly|daily|weekly|monthly)|@every {_PART}+|{_CRON_FIELD}( {_CRON_FIELD}){{4}})$"

LARGEST_EXACT = 2**53 - 1
"""Of the integers that all readers of JSON keep. The API server, too, compares bounds as floating-point numbers."""

_BINARY: dict[str, int] = {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)
}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


LONGEST = 100 * 366 * 86_400.0
"""Seconds. Whoever says `999999d` means for ever; calendars end before."""


def seconds(text: str) -> float:
    """Of a duration: `90s`, `1h30m`, `250ms`, `7d`; LONGEST at most. ValueError for anything else."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"`{text}` is not a duration; write it as `90s` or `1h30m`")
    try:
        return min(parse_duration(text).total_seconds(), LONGEST)
    except OverflowError:
        return LONGEST


def quantity(value: str | int) -> Decimal:
    """What Kubernetes means by `500m`, `1.5Gi` or `2`: cores, bytes. ValueError for anything else."""
    text = str(value)
    if not re.fullmatch(QUANTITY, text):
        raise ValueError(f"`{text}` is not a quantity; write it as `500m`, `1.5Gi` or `2`")
    match = re.fullmatch(r"([0-9.]+)([KMGTPE]i|[numkMGTPE]?)", text)
    if match is None:  # with an exponent: 1e3
        return Decimal(text)
    number, suffix = Decimal(match[1]), match[2]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    return number * Decimal(10) ** _DECIMAL[suffix]


def _interval(text: str) -> float | None:
    return -1.0 if text == OFF else seconds(text)


# pydantic may not narrow what the API server lets pass: these read any text that the pattern allows.
Duration = Annotated[str, Field(pattern=LONGER_THAN_NOTHING, max_length=32), SameAs(seconds)]
Pause = Annotated[str, Field(pattern=DURATION, max_length=32), SameAs(seconds)]
Interval = Annotated[str, Field(pattern=INTERVAL, max_length=32), SameAs(_interval)]
Schedule = Annotated[str, Field(pattern=SCHEDULE, max_length=128)]
Name = Annotated[str, Field(pattern=NAME, min_length=1, max_length=253)]
Image = Annotated[str, Field(pattern=IMAGE, max_length=512)]
Storage = Annotated[str, Field(pattern=STORAGE, max_length=1024)]
Url = Annotated[str, Field(pattern=URL, max_length=1024)]
Region = Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]+$", max_length=64)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=256)]
Text = Annotated[str, Field(max_length=1024)]
Sentence = Annotated[str, Field(max_length=32768)]
Digest = Annotated[str, Field(pattern=r"^[a-z0-9]+:[0-9a-f]{8,128}$")]
Time = AwareDatetime
Count = Annotated[int, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
Nonce = Annotated[int, Field(ge=0, le=LARGEST_EXACT)]
Parallelism = Annotated[int, Field(ge=1, le=32768)]

_INT_OR_STRING: dict[str, Any] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
IntOrString = Annotated[
    int | str, WithJsonSchema({**_INT_OR_STRING, "maxLength": 4096}), SameAs(str)
]
Quantity = Annotated[
    int | str,
    WithJsonSchema({**_INT_OR_STRING, "maxLength": 32, "pattern": QUANTITY}),
    SameAs(quantity),
]
PodTemplate = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]


class Reference(Model):
    """To an object in the same namespace: there are no others."""

    is_opaque = True
    name: Name = Field(description="Its name, in the namespace of this object.")


class CaBundle(Model):
    """Certificates to trust."""

    is_opaque = True
    name: Name = Field(description="A ConfigMap in the namespace of this object.")
    key: str | None = Field(
        default=None,
        max_length=253,
        description="The key in it that holds certificates in PEM. Default: ca.crt.",
    )


class Resources(Model):
    """As of a container."""

    is_opaque = True
    rules = (
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
            " || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "requests must not exceed limits",
        ),
    )
    requests: dict[str, Quantity] = Field(
        default={},
        max_length=16,
        description="What the node reserves: cpu, memory, ephemeral-storage.",
    )
    limits: dict[str, Quantity] = Field(
        default={},
        max_length=16,
        description="What may be used at most: cpu, memory, ephemeral-storage.",
    )


def values(kind: type[Enum]) -> tuple[str, ...]:
    """The texts of an enum."""
    return tuple(str(member.value) for member in kind)
