"""Whether a definition may take the place of the one that a cluster has: never an older one, never with less in it.

Objects in the cluster may hold whatever its definition allows: fields that a new one does not know would be dropped
without a word at the next write. Pure: definitions are plain data. Reading and writing them is applying.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowjob_operator.resources.kinds import GROUP

VERSION_ANNOTATION: Final = f"{GROUP}/crd-version"
SHOWN: Final = 5
"""Removed fields that a refusal names."""

Object = dict[str, Any]


def objections(old: Object, new: Object) -> list[str]:
    """Why `new` must not take the place of `old`, in sentences for people; none: it may."""
    name = new["metadata"]["name"]
    found = list(_of_age(name, old, new))
    if found:
        return found  # an older definition lacks fields as well: that is no news
    for what in ("group", "scope"):
        if old["spec"].get(what) != new["spec"][what]:
            found.append(
                f"{name}: the cluster has one with {what} {old['spec'].get(what)}, and this one has "
                f"{new['spec'][what]}: it is of somebody else. Remove it first, if it is not needed"
            )
    return found or [*_of_versions(name, old, new), *_of_fields(name, old, new)]


def crd_version(definition: Object) -> int | None:
    """None: it does not say, which those before the first release did not. Raises ValueError for what is no number."""
    text = (definition["metadata"].get("annotations") or {}).get(VERSION_ANNOTATION)
    return None if text is None else int(text)


def _of_age(name: str, old: Object, new: Object) -> Iterator[str]:
    try:
        there = crd_version(old)
    except ValueError:
        text = old["metadata"]["annotations"][VERSION_ANNOTATION]
        yield f"{name}: its annotation {VERSION_ANNOTATION} in the cluster is `{text}`, which is no number"
        return
    ours = crd_version(new)
    if there is not None and ours is not None and there > ours:
        yield (
            f"{name}: the cluster has version {there} and this release brings {ours}. Install a release that is as new "
            "as the one that has put it there, or set crds.install=false: newer definitions serve older operators"
        )


def _of_versions(name: str, old: Object, new: Object) -> Iterator[str]:
    kept = {version["name"] for version in new["spec"]["versions"]}
    stored = set((old.get("status") or {}).get("storedVersions") or [])
    served = {v["name"] for v in old["spec"]["versions"] if v.get("served")}
    for version in sorted((stored | served) - kept):
        yield f"{name}: version {version} would be removed, and objects may be written or read as {version}"


def _of_fields(name: str, old: Object, new: Object) -> Iterator[str]:
    ours = {version["name"]: version for version in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        if version["name"] not in ours:
            continue
        known = set(fields(_schema(ours[version["name"]])))
        removed = [path for path in fields(_schema(version)) if not _is_known(path, known)]
        if removed:
            more = f" and {len(removed) - SHOWN} more" if len(removed) > SHOWN else ""
            yield (
                f"{name}: {version['name']} would lose {', '.join(removed[:SHOWN])}{more}: what objects say "
                "there would be dropped without a word"
            )


def _schema(version: Object) -> Object:
    found: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return found


def fields(schema: Object, path: str = "") -> Iterator[str]:
    """Paths of everything that an object may say, in the order of the schema: `.spec.job.args.*`, `.spec.list[]`. One
    that keeps unknown fields is `.spec.template.**`."""
    if path:
        yield path
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        yield f"{path}.**"
    for name, part in (schema.get("properties") or {}).items():
        yield from fields(part, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(schema["additionalProperties"], f"{path}.*")
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], f"{path}[]")


def _is_known(path: str, known: set[str]) -> bool:
    """Itself, or below something that keeps whatever it is given."""
    if path in known:
        return True
    parts = path.split(".")
    return any(".".join(parts[:n]) + ".**" in known for n in range(1, len(parts)))
