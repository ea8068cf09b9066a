"""Pod templates over each other, from the least to the most specific: maps by key, lists by what names their items.

As strategic merge does, of which it keeps what people expect, and nothing is ever taken away: null is as if it were
absent. Knows the shape of pods, and nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "containers": ("name",),
        "initContainers": ("name",),
        "env": ("name",),
        "volumes": ("name",),
        "volumeMounts": ("mountPath",),
        "volumeDevices": ("devicePath",),
        "ports": ("containerPort", "protocol"),
        "imagePullSecrets": ("name",),
        "tolerations": ("key", "effect"),
        "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
        "hostAliases": ("ip",),
        "resourceClaims": ("name",),
        "schedulingGates": ("name",),
        "readinessGates": ("conditionType",),
    }
)
"""Field -> the fields that tell its items apart. All other lists are replaced as wholes."""

MERGED_INSIDE: Final = frozenset({"containers", "initContainers"})
"""Items of other lists are replaced as wholes: a volume that has two sources is none."""

PROBES: Final = frozenset({"livenessProbe", "readinessProbe", "startupProbe"})
HANDLERS: Final = frozenset({"exec", "httpGet", "tcpSocket", "grpc"})

_DEFAULTS: Final = MappingProxyType({"protocol": "TCP"})


def merge(base: Any, overlay: Any, field: str = "") -> Any:
    """`overlay` over `base`, as a new value. `field`: what they are the value of."""
    if isinstance(overlay, Mapping):
        if not isinstance(base, Mapping) or (field in PROBES and HANDLERS & overlay.keys()):
            base = {}
        merged = dict(base)
        for name, value in overlay.items():
            if value is not None:
                merged[name] = merge(base.get(name), value, name)
        return merged
    if isinstance(overlay, list):
        if field not in NAMED_BY:
            return [merge(None, item) for item in overlay if item is not None]
        return _merged_items(base if isinstance(base, list) else [], overlay, field)
    return overlay


def _merged_items(base: list[Any], overlay: list[Any], field: str) -> list[Any]:
    """Items keep their places, new ones follow."""
    merged = list(base)
    for item in overlay:
        if item is None:
            continue
        place = _place(merged, item, field)
        if place is None:
            merged.append(merge(None, item))
        else:
            merged[place] = merge(merged[place] if field in MERGED_INSIDE else None, item)
    return merged


def _place(items: list[Any], item: Any, field: str) -> int | None:
    """Of the one that has its name. What has none is only ever the same as its equal."""
    name = name_of(item, field)
    for place, other in enumerate(items):
        if (name is None and other == item) or (name is not None and name == name_of(other, field)):
            return place
    return None


def name_of(item: Any, field: str) -> tuple[Any, ...] | None:
    """What tells an item of the list `field` apart; None: nothing does."""
    if not isinstance(item, Mapping):
        return None
    names = NAMED_BY[field]
    found = tuple(item.get(name, _DEFAULTS.get(name)) for name in names)
    # A toleration without key is one for all keys; anything else without a name has none.
    return found if found[0] is not None or field == "tolerations" else None
