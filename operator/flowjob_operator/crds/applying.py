"""Applies our definitions to a cluster, all or none: every one is looked at before the first is written.

Server-side, as a field manager of its own, by force: fields that `kubectl apply` has set before become ours. Knows HTTP
only through the functions it is given; what is refused is decided in comparing.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flowjob_operator.crds.comparing import objections

FIELD_MANAGER: Final = "flowjob-crds"
ESTABLISHED_SECONDS: Final = 60.0
LOOK_EVERY_SECONDS: Final = 0.2

Object = dict[str, Any]


class Cluster(Protocol):
    """The definitions that an API server has. All methods raise what its client raises."""

    def get(self, name: str) -> Object | None:
        """None: there is none of that name."""
        ...

    def apply(self, definition: Object, *, dry_run: bool) -> Object:
        """Server-side, as FIELD_MANAGER, by force. Gives it as it is then."""
        ...


class Refused(Exception):
    """Nothing was changed; `reasons` say why, for people."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the caller waits: a clock in seconds, and a pause."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


def apply(cluster: Cluster, definitions: Iterable[Object], waiting: Waiting) -> list[str]:
    """Gives a line for people on each definition. Returns when all are served. Raises Refused, or TimeoutError."""
    wanted = list(definitions)
    there = {d["metadata"]["name"]: cluster.get(d["metadata"]["name"]) for d in wanted}
    reasons = [
        reason
        for definition in wanted
        if (old := there[definition["metadata"]["name"]]) is not None
        for reason in objections(old, definition)
    ]
    if reasons:
        raise Refused(reasons)
    for definition in wanted:
        cluster.apply(definition, dry_run=True)
    lines = []
    for definition in wanted:
        name = definition["metadata"]["name"]
        made = cluster.apply(definition, dry_run=False)
        lines.append(f"{name} {_what_happened(there[name], made)}")
    for definition in wanted:
        _wait_until_established(cluster, definition["metadata"]["name"], waiting)
    return lines


def _what_happened(old: Object | None, made: Object) -> str:
    if old is None:
        return "created"
    same = old["metadata"].get("generation") == made["metadata"].get("generation")
    return "unchanged" if same else "changed"


def _wait_until_established(cluster: Cluster, name: str, waiting: Waiting) -> None:
    """What follows in the release may make objects of the kind."""
    give_up = waiting.now() + ESTABLISHED_SECONDS
    while True:
        conditions = ((cluster.get(name) or {}).get("status") or {}).get("conditions") or []
        states = {c["type"]: c for c in conditions}
        if states.get("Established", {}).get("status") == "True":
            return
        if waiting.now() > give_up:
            said = [f"{c['type']}={c['status']} ({c.get('message', '')})" for c in conditions]
            raise TimeoutError(
                f"{name} is not served after {ESTABLISHED_SECONDS:g} s: {'; '.join(said) or 'nothing is said'}"
            )
        waiting.sleep(LOOK_EVERY_SECONDS)
