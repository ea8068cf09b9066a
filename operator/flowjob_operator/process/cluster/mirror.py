"""What was last seen of the objects around jobs: fed by watches, made whole by lists, read by every reconcile.

Without it, each look at a job would be ten requests. It may lag behind: the FlowJob itself is therefore read afresh
(observing.py), statuses are written with a resourceVersion, and deletes have preconditions. Kept as compressed JSON
without managedFields, which is a twentieth of the same as dicts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from flowjob_operator.process.cluster.api import Object, Resource
from flowjob_operator.process.cluster.kinds import FLOWJOBS, FLOWSNAPSHOTS, PODS

JOB_LABEL: Final = "flowjob.dev/job"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

Place = tuple[str, str, str]
"""Plural, namespace, name"""


class News(Enum):
    """What has changed. STATUS: nothing that anybody but a controller writes."""

    NONE = "none"
    STATUS = "status"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Missing:
    """What was known, and is there no longer."""

    namespace: str
    name: str
    uid: str
    job: str


@dataclass(slots=True)
class _Kept:
    uid: str
    version: int
    job: str
    gist: int
    words: frozenset[str]
    data: bytes

    def object(self) -> Object:
        found: Object = msgspec.json.decode(zlib.decompress(self.data))
        return found


class Mirror:
    """Not for several threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, _Kept]] = {}
        """By plural and namespace, then by name"""
        self._of_job: dict[tuple[str, str], set[tuple[str, str]]] = {}
        """By namespace and job: plurals and names"""

    def note(self, resource: Resource, found: Object) -> News:
        """As a watch or an answer has it. What is older than what is known is no news."""
        place = _place(resource, found)
        version = version_of(found)
        old = self._at(place)
        if old is not None and old.version >= version and old.uid == found["metadata"]["uid"]:
            return News.NONE
        self._forget(place)
        job = _job_of(resource, found)
        data = zlib.compress(msgspec.json.encode(pruned(resource, found)), 1)
        kept = _Kept(
            found["metadata"]["uid"], version, job, _gist(found), _words(resource, found), data
        )
        self._kept.setdefault(place[:2], {})[place[2]] = kept
        if job:
            self._of_job.setdefault((place[1], job), set()).add((place[0], place[2]))
        same = old is not None and (old.uid, old.gist) == (kept.uid, kept.gist)
        return News.STATUS if same else News.OBJECT

    def gone(self, resource: Resource, found: Object) -> bool:
        """A watch says that it was deleted; whether that is news. One made anew under the name stays."""
        place = _place(resource, found)
        old = self._at(place)
        if old is None or old.uid != found["metadata"]["uid"]:
            return False
        self._forget(place)
        return True

    def missing(
        self, resource: Resource, namespace: str | None, listed: set[str], version: int
    ) -> list[Missing]:
        """Forgets what a list of `version`, whose uids are `listed`, would have if it were still there: the watch has
        missed its end."""
        found = []
        for (plural, within), kept in list(self._kept.items()):
            if plural != resource.plural or namespace not in (None, within):
                continue
            for name, one in list(kept.items()):
                if one.uid not in listed and one.version <= version:
                    found.append(Missing(within, name, one.uid, one.job))
                    self._forget((plural, within, name))
        return found

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        kept = self._at((resource.plural, namespace, name))
        return None if kept is None else kept.object()

    def of_job(self, resource: Resource, namespace: str, job: str) -> list[Object]:
        """Labelled so, by name; FlowSnapshots by their jobRef."""
        names = sorted(
            name
            for plural, name in self._of_job.get((namespace, job), ())
            if plural == resource.plural
        )
        kept = self._kept.get((resource.plural, namespace), {})
        return [kept[name].object() for name in names]

    def names(self, resource: Resource, namespace: str | None = None) -> list[tuple[str, str]]:
        """Namespaces and names of all that are known, or of those in one namespace."""
        return [
            (within, name)
            for (plural, within), kept in self._kept.items()
            if plural == resource.plural and namespace in (None, within)
            for name in kept
        ]

    def users(self, namespace: str, words: Iterable[str]) -> list[Object]:
        """FlowJobs that begin, or go on, with a snapshot of one of these names or paths."""
        wanted = set(words)
        kept = self._kept.get((FLOWJOBS.plural, namespace), {})
        return [one.object() for _, one in sorted(kept.items()) if one.words & wanted]

    def mentioning(self, resource: Resource, namespace: str, words: Iterable[str]) -> list[Object]:
        """Those of a namespace in whose JSON one of the words occurs: what might be about it, cheaply."""
        wanted = [word.encode() for word in words if word]
        kept = self._kept.get((resource.plural, namespace), {})
        raw = ((one, zlib.decompress(one.data)) for _, one in sorted(kept.items()))
        return [msgspec.json.decode(data) for _, data in raw if any(w in data for w in wanted)]

    def all(self, resource: Resource) -> Iterator[Object]:
        for (plural, _), kept in list(self._kept.items()):
            if plural == resource.plural:
                yield from (one.object() for one in list(kept.values()))

    def sizes(self) -> tuple[int, int]:
        """Objects, and bytes that they take."""
        every = [one for kept in self._kept.values() for one in kept.values()]
        return len(every), sum(len(one.data) for one in every)

    def _at(self, place: Place) -> _Kept | None:
        return self._kept.get(place[:2], {}).get(place[2])

    def _forget(self, place: Place) -> None:
        kept = self._kept.get(place[:2], {})
        old = kept.pop(place[2], None)
        if not kept:
            self._kept.pop(place[:2], None)
        if old is not None and old.job:
            names = self._of_job.get((place[1], old.job), set())
            names.discard((place[0], place[2]))
            if not names:
                self._of_job.pop((place[1], old.job), None)


def version_of(found: Object) -> int:
    """Comparable: resourceVersions are numbers that grow, in all servers there are. Others count as the newest."""
    text = str(found["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else 2**63


def pruned(resource: Resource, found: Object) -> Object:
    """Without what nobody here looks at, which is most of it."""
    about = {k: v for k, v in found["metadata"].items() if k != "managedFields"}
    if LAST_APPLIED in (about.get("annotations") or {}):
        notes = {k: v for k, v in about["annotations"].items() if k != LAST_APPLIED}
        about = {**about, "annotations": notes}
    kept: Object = {**found, "metadata": about}
    kept.setdefault("apiVersion", resource.api_version)
    kept.setdefault("kind", resource.kind)
    return {**kept, "spec": _pod_spec(kept.get("spec") or {})} if resource == PODS else kept


def _pod_spec(spec: Object) -> Object:
    """What containers may use, and where they are."""
    kept: dict[str, Any] = {
        name: spec[name] for name in ("nodeName", "terminationGracePeriodSeconds") if name in spec
    }
    for kind in ("containers", "initContainers"):
        kept[kind] = [
            {"name": one["name"], "resources": one.get("resources") or {}}
            for one in spec.get(kind) or []
        ]
    return kept


def _job_of(resource: Resource, found: Object) -> str:
    """Whose it is; empty: no job's."""
    if resource == FLOWSNAPSHOTS:
        return str(((found.get("spec") or {}).get("jobRef") or {}).get("name") or "")
    return str((found["metadata"].get("labels") or {}).get(JOB_LABEL) or "")


def _words(resource: Resource, found: Object) -> frozenset[str]:
    """Names and paths of snapshots that a FlowJob needs, or may need."""
    if resource != FLOWJOBS:
        return frozenset()
    status = found.get("status") or {}
    facts = [
        ((found.get("spec") or {}).get("job") or {}).get("restoreFrom"),
        status.get("expected"),
        status.get("start"),
        (status.get("operation") or {}).get("expected"),
    ]
    names = ("snapshot", "path", "name", "job")
    said = (fact[name] for fact in facts if fact for name in names if fact.get(name))
    return frozenset({*map(str, said), found["metadata"]["name"]})


def _gist(found: Object) -> int:
    """Of what people write: the generation stands for the spec, where there is one."""
    about = found["metadata"]
    parts = [about.get(name) for name in ("generation", "labels", "annotations", "finalizers")]
    return hash(msgspec.json.encode([*parts, about.get("deletionTimestamp")], order="sorted"))


def _place(resource: Resource, found: Object) -> Place:
    about = found["metadata"]
    return resource.plural, about.get("namespace", ""), about["name"]
