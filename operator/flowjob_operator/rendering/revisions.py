"""All objects of a revision, and what is kept of them: a ControllerRevision, from which a job is repaired as it was.

A new operator renders nothing anew for a job that nobody has changed. Owners, the number of TaskManagers and what the
job begins with are of the moment: they are put in when objects are applied. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from flowjob.cluster.identity import JobId
from flowjob.cluster.job_file import Restore
from flowjob_operator.core.revision import ALL_PARTS, Part, Revision
from flowjob_operator.rendering import job_files
from flowjob_operator.rendering.effective import complete
from flowjob_operator.rendering.naming import Names, labels
from flowjob_operator.rendering.owners import owned_by
from flowjob_operator.rendering.platform import Platform
from flowjob_operator.rendering.shared import an_object, config_map, shared_objects
from flowjob_operator.rendering.workloads import job_manager, task_managers

Object = dict[str, Any]

ORDER = (Part.SHARED, Part.FILE, Part.JOB_MANAGER, Part.TASK_MANAGERS)
"""In which objects are applied: what pods mount comes before them."""
CONTENT = "flowjob.dev/content"
"""Annotation of a ControllerRevision: the hash of what was rendered."""


class UnreadableRevision(ValueError):
    """A ControllerRevision that is not ours, or damaged."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Objects by part, each without ownerReferences."""

    parts: Mapping[Part, tuple[Object, ...]]

    @property
    def content(self) -> str:
        """sha256 of all of it: the same for the same objects, however they are ordered inside."""
        wire = {part.value: self.parts.get(part, ()) for part in ORDER}
        text = json.dumps(wire, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def objects(self, parts: Iterable[Part] = ALL_PARTS) -> tuple[Object, ...]:
        """In the order in which they are applied."""
        wanted = frozenset(parts)
        return tuple(o for part in ORDER if part in wanted for o in self.parts.get(part, ()))


def render(
    job: JobId,
    revision: Revision,
    platform: Platform,
    fresh: frozenset[Part] = ALL_PARTS,
    previous: Rendered | None = None,
) -> Rendered:
    """Parts that are not `fresh` are those of `previous`. Raises ValueError when there is no previous one to take them
    from."""
    if previous is None and fresh != ALL_PARTS:
        raise ValueError(f"revision {revision.number} takes over objects of one that is not there")
    revision, taken = complete(revision), {} if previous is None else previous.parts
    return Rendered(
        {
            part: _part(part, job, revision, platform) if part in fresh else taken.get(part, ())
            for part in ORDER
        }
    )


def _part(part: Part, job: JobId, revision: Revision, platform: Platform) -> tuple[Object, ...]:
    match part:
        case Part.SHARED:
            return shared_objects(job, revision, platform)
        case Part.FILE:
            file = job_files.data(job_files.job_file(job, revision))
            return (config_map(job, Names(job).file(revision.base), file),)
        case Part.JOB_MANAGER:
            return (job_manager(job, revision),)
        case Part.TASK_MANAGERS:
            return (task_managers(job, revision),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is not of a revision, but of the moment at which it is applied.

    restore        what the job begins with: goes into the job file
    task_managers  how many
    owned          False: Deployment and StatefulSet go on when the FlowJob is deleted, until its finalizer is done
    """

    restore: Restore
    task_managers: int
    owned: bool = True


def to_apply(
    rendered: Rendered, job: JobId, now: Now, parts: Iterable[Part] = ALL_PARTS
) -> list[Object]:
    """Whole objects for server-side apply."""
    return [_as_of(now, each, job) for each in rendered.objects(parts)]


def _as_of(now: Now, each: Object, job: JobId) -> Object:
    match each["kind"]:
        case "StatefulSet":
            each = {**each, "spec": {**each["spec"], "replicas": now.task_managers}}
        case "ConfigMap" if job_files.is_job_file(each["data"]):
            each = {**each, "data": job_files.with_restore(each["data"], now.restore)}
    survives = not now.owned and each["kind"] in ("Deployment", "StatefulSet")
    return each if survives else owned_by(each, job)


# -- what is kept


def controller_revision(job: JobId, revision: Revision, rendered: Rendered) -> Object:
    """The object, to be created once: its data can never be changed."""
    made = an_object("apps/v1", "ControllerRevision", job, Names(job).revision(revision.number))
    made["metadata"]["labels"] = labels(job.name, "revision", revision.number)
    made["metadata"]["annotations"] = {CONTENT: rendered.content}
    wire = revision.wire()
    made["revision"] = revision.number
    made["data"] = {
        "revision": _without_script(wire),
        "objects": {
            part.value: [_without_data(o) for o in rendered.parts.get(part, ())] for part in ORDER
        },
    }
    return owned_by(made, job)


def read_controller_revision(body: Mapping[str, Any]) -> tuple[Revision, Rendered]:
    """Raises UnreadableRevision."""
    name = (body.get("metadata") or {}).get("name", "?")
    try:
        data = body["data"]
        wire = data["revision"]
        script = wire["written"]["job"].get("script")
        if script is not None:
            wire = {
                **wire,
                "spec": {**wire["spec"], "job": {**wire["spec"]["job"], "script": script}},
            }
        revision = Revision.of(wire)
        parts = {
            part: tuple(_with_data(o, revision) for o in data["objects"][part.value])
            for part in ORDER
        }
    except pydantic.ValidationError as error:
        raise UnreadableRevision(f"ControllerRevision {name} cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UnreadableRevision(f"ControllerRevision {name} is not whole: {error!r}") from None
    return revision, Rendered(parts)


def _without_script(wire: Object) -> Object:
    """Programs are kept once: in what was written."""
    job = {k: v for k, v in wire["spec"]["job"].items() if k != "script"}
    return {**wire, "spec": {**wire["spec"], "job": job}}


def _without_data(each: Object) -> Object:
    return {**each, "data": {}} if _is_script(each) else each


def _with_data(each: Object, revision: Revision) -> Object:
    return {**each, "data": job_files.script_data(revision.spec)} if _is_script(each) else each


def _is_script(each: Object) -> bool:
    return each["kind"] == "ConfigMap" and each.get("immutable") is True
