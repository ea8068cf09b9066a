"""The base of all that is sent and received: camelCase on the wire, immutable, described.

Answers carry every field, null where nothing is known: clients need no defaults. Requests refuse fields that they do
not know, so that a misspelt one is not taken for a wish that was left out. Knows no noun."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Time = Annotated[
    str,
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-03-01T12:00:00.000Z"]),
]
"""RFC 3339, UTC."""

Share = Annotated[float, Field(description="0 to 1", examples=[0.42])]


class Answer(BaseModel):
    """What is sent. Fields are only ever added: ignore those you do not know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        json_schema_serialization_defaults_required=True,
        use_attribute_docstrings=True,
    )


class Wish(BaseModel):
    """What is received."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


def example(**fields: Any) -> ConfigDict:
    """Configuration of a model with one example, in the words of the wire."""
    return ConfigDict(json_schema_extra={"examples": [fields]})
