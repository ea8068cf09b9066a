"""ControllerRevisions out of the mirror: parsed once, and what they rendered compared with what is there.

Their data never changes, so what was parsed is kept by uid. Knows how rendering keeps them (rendering/revisions.py),
not when one is made."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import Restore
from flowjob_operator.core.revision import Revision
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Object
from flowjob_operator.process.cluster.drift import difference
from flowjob_operator.process.cluster.kinds import REVISIONS
from flowjob_operator.process.cluster.mirror import Mirror
from flowjob_operator.process.cluster.reading import revision_of, time_of
from flowjob_operator.process.remembered import Cache
from flowjob_operator.rendering import job_files
from flowjob_operator.rendering.revisions import (
    ORDER,
    Rendered,
    UnreadableRevision,
    read_controller_revision,
)

log: Final = structlog.get_logger("flowjob_operator.revisions")

PARSED: Final = 512
PARSED_SECONDS: Final = 600.0
COMPARED: Final = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """`packed`: what was rendered, a twentieth of its size, for most looks do not need it."""

    name: str
    uid: str
    created_at: datetime | None
    revision: Revision
    packed: bytes

    @property
    def rendered(self) -> Rendered:
        return _unpacked(self.packed)


class Revisions:
    def __init__(self, mirror: Mirror, clock: Clock) -> None:
        self._mirror = mirror
        self._parsed: Cache[str, Saved] = Cache(clock, PARSED_SECONDS, PARSED)
        self._compared: Cache[tuple[object, ...], tuple[bool]] = Cache(
            clock, PARSED_SECONDS, COMPARED
        )

    def of_job(self, namespace: str, job: str, uid: str) -> list[Saved]:
        """Those of this FlowJob and no earlier one of its name, by number."""
        found = []
        for raw in self._mirror.of_job(REVISIONS, namespace, job):
            owners = raw["metadata"].get("ownerReferences") or []
            if any(owner.get("uid") == uid for owner in owners):
                try:
                    found.append(self._read(raw))
                except UnreadableRevision as error:
                    log.error("left out", name=raw["metadata"]["name"], error=str(error))
        return sorted(found, key=lambda each: each.revision.number)

    def one(self, namespace: str, job: str, uid: str, number: int) -> Saved | None:
        for each in self.of_job(namespace, job, uid):
            if each.revision.number == number:
                return each
        return None

    def is_taken(self, job: JobId, name: str) -> str:
        """Why a revision of this name cannot be made, nor waited for: it is there, and not this job's to read. Empty:
        it can, or is there already."""
        there = self._mirror.get(REVISIONS, job.namespace, name)
        if there is None:
            return ""
        if any(each.name == name for each in self.of_job(job.namespace, job.name, job.uid)):
            return ""
        ours = any(o.get("uid") == job.uid for o in there["metadata"].get("ownerReferences") or [])
        why = "cannot be read by this operator" if ours else "another FlowJob has left behind"
        return f"there is a ControllerRevision {name} that {why}: delete it, or give this FlowJob another name"

    def is_changed(
        self, found: Object, saved: Mapping[int, Saved], current: int | None = None
    ) -> bool:
        """Whether a field that its revision has set has another value now. Of an object that is in no known revision,
        nothing is known. `current`: the deployed one."""
        # Neither of the two changes without its version: most looks find all as it was.
        about = found["metadata"]
        key = (about["uid"], about.get("resourceVersion"), current, *saved)
        known = self._compared.get(key)
        if known is None:
            known = self._compared.put(key, (self._differs(found, saved, current),))
        return known[0]

    def _differs(self, found: Object, saved: Mapping[int, Saved], current: int | None) -> bool:
        said = self._said(found, saved, current)
        if said is None:
            return False
        there = found
        match found["kind"]:
            case "StatefulSet":
                said = {**said, "spec": {**said["spec"], "replicas": None}}
            case "ConfigMap" if job_files.is_job_file(said.get("data") or {}):
                said, there = _without_restore(said), _without_restore(found)
        where = difference(_plain(said), there)
        if where is not None:
            about = found["metadata"]
            log.debug("changed", object=f"{found['kind']} {about['name']}", field=where)
        return where is not None

    def _said(
        self, found: Object, saved: Mapping[int, Saved], current: int | None
    ) -> Object | None:
        """As the deployed revision has it, or else the newest one that has it with the same number on its label."""
        number, name = revision_of(found), found["metadata"]["name"]
        for each in (current or 0, *sorted(saved, reverse=True)):
            for one in saved[each].rendered.objects() if each in saved else ():
                same = one["kind"] == found["kind"] and one["metadata"]["name"] == name
                if same and revision_of(one) == number:
                    return one
        return None

    def _read(self, raw: Object) -> Saved:
        about = raw["metadata"]
        known = self._parsed.get(about["uid"])
        if known is not None:
            return known
        revision, rendered = read_controller_revision(raw)
        made = Saved(
            name=about["name"],
            uid=about["uid"],
            created_at=time_of(about.get("creationTimestamp")),
            revision=revision,
            packed=_packed(rendered),
        )
        return self._parsed.put(about["uid"], made)


def _packed(rendered: Rendered) -> bytes:
    wire = {part.value: rendered.parts.get(part, ()) for part in ORDER}
    return zlib.compress(msgspec.json.encode(wire), 1)


def _unpacked(data: bytes) -> Rendered:
    wire = msgspec.json.decode(zlib.decompress(data), type=dict[str, tuple[dict[str, Any], ...]])
    return Rendered({part: wire[part.value] for part in ORDER})


def _plain(said: Object) -> Object:
    about = {k: v for k, v in said["metadata"].items() if k in ("labels", "annotations")}
    return {**said, "metadata": about}


def _without_restore(found: Object) -> Object:
    data: dict[str, Any] = dict(found.get("data") or {})
    try:
        return {**found, "data": job_files.with_restore(data, Restore())}
    except (KeyError, ValueError):
        return found
