"""From settings to what rendering must know of the installation.

Kept apart so that a wrong setting is refused at the start, with its name, and not at the first job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowjob_operator.process.settings import BadSettings, Settings
from flowjob_operator.rendering.platform import Platform

FIELDS: Final = ("networkPolicies", "operatorLabels", "serviceLabels", "prometheus", "egress")


def platform_of(settings: Settings) -> Platform:
    """Raises BadSettings."""
    said: Mapping[str, Any] = settings.platform
    unknown = sorted(set(said) - set(FIELDS))
    if unknown:
        raise BadSettings(
            f"platform: there is no {', '.join(unknown)}; there are {', '.join(FIELDS)}"
        )
    given: dict[str, Any] = {}
    if "networkPolicies" in said:
        given["network_policies"] = str(said["networkPolicies"]).lower() == "true"
    for name, field in (("operatorLabels", "operator_labels"), ("serviceLabels", "service_labels")):
        if name in said:
            given[field] = _map(name, said[name])
    if said.get("prometheus"):
        given["prometheus"] = tuple(_maps("prometheus", said["prometheus"]))
    if said.get("egress") is not None:
        given["egress"] = tuple(_maps("egress", said["egress"]))
    return Platform(namespace=settings.namespace, **given)


def _map(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise BadSettings(f"platform.{name}: a map of labels is expected")
    return {str(k): str(v) for k, v in value.items()}


def _maps(name: str, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise BadSettings(f"platform.{name}: a list as in a NetworkPolicy is expected")
    return value
