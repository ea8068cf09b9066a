"""One shape, told in three places: what JobManagers answer, what the service sends, what the client reads.

The service's OpenAPI is what counts. Everything it can send or take is known to the client by the same name, with the
same fields of the same types; and the client knows nothing that the service has not."""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec
import pytest

from flowjob.client import models
from flowjob.client.job_client import JobClient
from flowjob.cluster import job_details, job_figures, job_history
from flowjob_api.schemas import actions
from flowjob_api.schemas.model import Wish
from tests.rest.local_world import document

Schema = dict[str, Any]

OF_MACHINES: Final = {"Problem", "FieldProblem"}
"""Read by client/problems.py, word by word, from services that may be older or a proxy's."""
EVENTS: Final = {"Change"}
"""Events are handed on as they come."""
OF_BROWSERS: Final = {"Session": {"csrfToken", "expiresAt"}}
"""Fields of cookies' sessions, which a script has none of."""


def structs() -> dict[str, type[msgspec.Struct]]:
    """What the client reads: its own models, and those that it shares with JobManagers."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in (job_figures, job_history, job_details, models):
        for name, one in vars(module).items():
            if isinstance(one, type) and issubclass(one, msgspec.Struct) and name[0] != "_":
                found[name] = one
    return found


def sent() -> dict[str, Schema]:
    """Components that are part of an answer."""
    components: dict[str, Schema] = document()["components"]["schemas"]
    wishes = {
        n for n, one in vars(actions).items() if isinstance(one, type) and issubclass(one, Wish)
    }
    return {n: s for n, s in components.items() if n not in wishes | {"Login"} | OF_MACHINES}


def kinds(schema: Schema, components: dict[str, Schema]) -> set[str]:
    """Of JSON, that a value of the schema may be; numbers with or without a fraction are both `number`."""
    if "$ref" in schema:
        return kinds(components[schema["$ref"].rsplit("/", 1)[-1]], components)
    if "anyOf" in schema:
        return set().union(*(kinds(part, components) for part in schema["anyOf"]))
    if "enum" in schema:
        return {"null" if one is None else "string" for one in schema["enum"]}
    if "const" in schema:
        return {"string"}
    given = schema.get("type", "any")
    return {
        "number" if one == "integer" else one
        for one in ([given] if isinstance(given, str) else given)
    }


def read_by(struct: type[msgspec.Struct]) -> tuple[Schema, dict[str, Schema]]:
    """Properties that a struct reads, and the components they refer to."""
    (reference,), components = msgspec.json.schema_components([struct])
    found = components[reference["$ref"].rsplit("/", 1)[-1]]
    return found["properties"], components


@pytest.mark.parametrize("name", sorted(set(sent()) - EVENTS))
def test_what_the_service_sends_the_client_reads_field_by_field(name: str) -> None:
    theirs = {
        field: schema
        for field, schema in sent()[name]["properties"].items()
        if field not in OF_BROWSERS.get(name, ())
    }
    mine, components = read_by(structs()[name])
    assert set(mine) == set(theirs)
    for field, schema in theirs.items():
        given = kinds(schema, document()["components"]["schemas"])
        assert given <= kinds(mine[field], components), f"{name}.{field}"


def test_the_client_has_no_shape_that_the_service_has_not() -> None:
    own = {
        n
        for n, one in vars(models).items()
        if isinstance(one, type) and one.__module__ == models.__name__
    }
    components = document()["components"]["schemas"]
    assert {n for n in own if n[0] != "_"} - set(components) == set()


@pytest.mark.parametrize("name", sorted(set(structs()) & set(sent())))
def test_enumerations_are_told_with_the_same_words(name: str) -> None:
    mine, _ = read_by(structs()[name])
    for field, schema in sent()[name].get("properties", {}).items():
        words = set(schema.get("enum", ()))
        known = set(mine.get(field, {}).get("enum", words))
        assert known == words, f"{name}.{field}"


BODIES: Final = {
    "savepoint": actions.SavepointWish, "stop": actions.StopWish, "scale": actions.ScaleWish,
    "suspend": actions.SuspendWish, "resume": actions.ResumeWish, "restart": actions.RestartWish,
}  # fmt: skip


@pytest.mark.parametrize("verb", BODIES)
def test_every_field_of_a_wish_can_be_said_by_the_client(verb: str) -> None:
    said = set(inspect.signature(getattr(JobClient, verb)).parameters) - {
        "self",
        "force",
        "if_match",
        "key",
    }
    assert said == {field.alias for field in BODIES[verb].model_fields.values()}


def test_an_upgrade_is_said_in_the_same_fields() -> None:
    mine, _ = read_by(models.UpgradeWish)
    assert set(mine) == {field.alias for field in actions.UpgradeWish.model_fields.values()}
