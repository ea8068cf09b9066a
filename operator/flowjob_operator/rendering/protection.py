"""What a pod template may not say, because it is ours or said elsewhere: each refusal names the field and why.

Everything else is the user's business: rendered objects are tried on the API server before anything is done. Looks at
templates of any shape, as the API server does not."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from flowjob_operator.rendering.naming import (
    COMPONENT_LABEL,
    CONTAINER,
    ETC,
    JM_PORTS,
    JOB_LABEL,
    MANAGER_LABEL,
    NAME_LABEL,
    OURS,
    TM_PORTS,
    TOKEN_DIRECTORY,
)
from flowjob_operator.rendering.volumes import PROTECTED_VOLUMES

OUR_LABELS: Final = frozenset({NAME_LABEL, MANAGER_LABEL, COMPONENT_LABEL, JOB_LABEL})
OUR_PORTS: Final = frozenset({*JM_PORTS.values(), *TM_PORTS.values()})
OUR_PORT_NAMES: Final = frozenset({*JM_PORTS, *TM_PORTS})

_SAID_ELSEWHERE: Final = "is said in {}, not in a pod template"
_OF_POD: Final = MappingProxyType(
    {
        "serviceAccountName": _SAID_ELSEWHERE.format("spec.serviceAccountName"),
        "serviceAccount": _SAID_ELSEWHERE.format("spec.serviceAccountName"),
        "automountServiceAccountToken": "cannot be changed: programs run in these pods; a program that needs a "
        "token can have a projected volume",
        "restartPolicy": "cannot be changed: flowjob counts on it",
        "hostname": "cannot be changed: TaskManagers are known by it",
        "subdomain": "cannot be changed: TaskManagers are known by it",
        "setHostnameAsFQDN": "cannot be changed: TaskManagers are known by it",
        "ephemeralContainers": "cannot be in a template",
    }
)
_OF_CONTAINER: Final = MappingProxyType(
    {
        "command": "cannot be changed: flowjob starts its own processes",
        "args": "cannot be changed: flowjob starts its own processes; arguments of the program are in spec.job.args",
        "image": _SAID_ELSEWHERE.format("spec.image"),
        "imagePullPolicy": _SAID_ELSEWHERE.format("spec.imagePullPolicy"),
        "resources": _SAID_ELSEWHERE.format("the resources beside it"),
        "terminationMessagePath": "cannot be changed: flowjob reads it",
        "terminationMessagePolicy": "cannot be changed: flowjob reads it",
    }
)


def refusals(template: Any) -> list[str]:
    """Sentences, each beginning with a path in the template; none: it can be merged."""
    if not isinstance(template, Mapping):
        return ["it is no map: it has metadata and spec, as the template of a Deployment"]
    return [
        *_unknown(template),
        *_of_metadata(template.get("metadata")),
        *_of_spec(template.get("spec")),
    ]


def _unknown(template: Mapping[str, Any]) -> Iterator[str]:
    for name in template.keys() - {"metadata", "spec"}:
        yield f"{name} is no part of a pod template: it has metadata and spec"


def _of_metadata(metadata: Any) -> Iterator[str]:
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        yield "metadata is no map"
        return
    for name, value in metadata.items():
        if name not in ("labels", "annotations"):
            yield f"metadata.{name} cannot be said: a template has labels and annotations"
        elif value is not None and not isinstance(value, Mapping):
            yield f"metadata.{name} is no map"
        else:
            for key in value or ():
                if key in OUR_LABELS or str(key).startswith(OURS):
                    yield f"metadata.{name}: `{key}` is flowjob's own; leave it out"


def _of_spec(spec: Any) -> Iterator[str]:
    if spec is None:
        return
    if not isinstance(spec, Mapping):
        yield "spec is no map"
        return
    for name, why in _OF_POD.items():
        if spec.get(name) is not None:
            yield f"spec.{name} {why}"
    for place, volume in _items(spec, "volumes", "spec"):
        if isinstance(volume, str):
            yield volume
        elif volume.get("name") in PROTECTED_VOLUMES:
            yield f"{place}: the volume `{volume['name']}` is flowjob's own; choose another name"
    for field in ("containers", "initContainers"):
        for place, container in _items(spec, field, "spec"):
            yield from (
                [container]
                if isinstance(container, str)
                else _of_container(
                    place,
                    container,
                    ours=field == "containers" and container.get("name") == CONTAINER,
                )
            )


def _of_container(place: str, container: Mapping[str, Any], *, ours: bool) -> Iterator[str]:
    name = container.get("name")
    if not isinstance(name, str):
        yield f"{place} has no name: containers are merged by it, that of flowjob is `{CONTAINER}`"
        return
    if name == CONTAINER and not ours:
        yield f"{place}: `{CONTAINER}` is the name of flowjob's own container; choose another one"
    if ours:
        for field, why in _OF_CONTAINER.items():
            if container.get(field) is not None:
                yield f"{place}.{field} {why}"
    for where, port in _items(container, "ports", place):
        if isinstance(port, str):
            yield port
        elif port.get("containerPort") in OUR_PORTS or port.get("name") in OUR_PORT_NAMES:
            yield f"{where}: ports {_list(OUR_PORTS)} and their names are flowjob's own; choose another one"
    for where, mount in _items(container, "volumeMounts", place):
        yield from [mount] if isinstance(mount, str) else _of_mount(where, mount, ours=ours)
    for where, variable in _items(container, "env", place):
        if isinstance(variable, str):
            yield variable
        elif ours and variable.get("name") in ("POD_NAME", "POD_NAMESPACE", "POD_IP"):
            yield f"{where}: the variable `{variable['name']}` is flowjob's own; choose another name"


def _of_mount(place: str, mount: Mapping[str, Any], *, ours: bool) -> Iterator[str]:
    if mount.get("name") in PROTECTED_VOLUMES:
        yield f"{place}: the volume `{mount['name']}` is for flowjob's own container only"
        return
    path = posixpath.normpath("/" + str(mount.get("mountPath", "")).lstrip("/"))
    for protected in (ETC, TOKEN_DIRECTORY) if ours else ():
        if _within(path, protected) or _within(protected, path):
            yield f"{place}: {mount.get('mountPath')} would hide or change what flowjob mounts at {protected}"
            return


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _items(
    parent: Mapping[str, Any], field: str, path: str
) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """Places and items of a list; in place of what is no list of maps, the sentence about it."""
    found = parent.get(field)
    if found is None:
        return
    if not isinstance(found, list):
        yield path, f"{path}.{field} is no list"
        return
    for number, item in enumerate(found):
        place = f"{path}.{field}[{number}]"
        if item is not None:
            yield place, item if isinstance(item, Mapping) else f"{place} is no map"


def _list(numbers: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
