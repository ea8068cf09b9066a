"""What the operator is told when it starts: by flags, else the environment, else a file (a mounted ConfigMap).

Data and its reading only. Every setting has a flag, a variable `FLOWJOB_OPERATOR_…` and a name in the file, all made of
its one name; docs/operator.md lists them, and a test compares."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

PREFIX: Final = "FLOWJOB_OPERATOR_"
DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h)$")
SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "text")


class BadSettings(Exception):
    """One that a person has to mend: names the setting and where it was given."""


def _about(what: str, **more: Any) -> dict[str, Any]:
    return {"about": what, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Durations in seconds."""

    namespaces: tuple[str, ...] = field(
        default=(), metadata=_about("Watch only these, separated by commas. Default: all of them.")
    )
    label_selector: str = field(
        default="", metadata=_about("Look after FlowJobs with these labels only, as kubectl -l.")
    )
    owner: str = field(
        default="flowjob",
        metadata=_about("Name of this installation: another one keeps off its namespaces."),
    )
    namespace: str = field(
        default="", metadata=_about("The operator's own. Default: that of its ServiceAccount.")
    )
    identity: str = field(
        default="",
        metadata=_about("Name of this replica. Default: the machine's, which is the pod's."),
    )
    image: str = field(default="", metadata=_about("Image of jobs that name none."))
    defaults: Mapping[str, object] = field(
        default_factory=dict,
        metadata=_about("Of FlowJobs, by path: checkpoints.interval=30s; in the file, a map."),
    )
    platform: Mapping[str, object] = field(
        default_factory=dict,
        metadata=_about(
            "Of the pods of jobs: networkPolicies, operatorLabels, serviceLabels, prometheus, egress."
        ),
    )
    service: bool = field(
        default=False,
        metadata=_about("There is a REST service: keep a certificate for it, in a Secret."),
    )
    lease: str = field(
        default="flowjob-operator", metadata=_about("Name of the Lease that replicas contend for.")
    )
    lease_duration: float = field(
        default=15.0,
        metadata=_about("Others wait so long for a leader that does not renew.", duration=True),
    )
    lease_renewal: float = field(
        default=10.0,
        metadata=_about("A leader that could not renew for so long ends itself.", duration=True),
    )
    lease_retry: float = field(
        default=2.0,
        metadata=_about("From one try to renew or to get the Lease to the next.", duration=True),
    )
    address: str = field(default="0.0.0.0", metadata=_about("Where probes and metrics are served."))
    port: int = field(default=8080, metadata=_about("Port of probes and metrics."))
    concurrency: int = field(default=32, metadata=_about("Objects that are worked on at once."))
    resync: float = field(
        default=60.0, metadata=_about("Each object is looked at at least so often.", duration=True)
    )
    relist: float = field(
        default=300.0,
        metadata=_about("Everything that is watched is listed again so often.", duration=True),
    )
    poll: float = field(
        default=10.0,
        metadata=_about(
            "A JobManager is asked so often; every second while something is being done.",
            duration=True,
        ),
    )
    jobmanager_timeout: float = field(
        default=3.0, metadata=_about("How long a JobManager may take to answer.", duration=True)
    )
    api_timeout: float = field(
        default=15.0, metadata=_about("How long the API server may take to answer.", duration=True)
    )
    api_requests: int = field(default=48, metadata=_about("Requests to the API server at once."))
    dry_run: bool = field(default=False, metadata=_about("Log what would be done, and do nothing."))
    log_level: str = field(default="info", metadata=_about(f"One of {', '.join(LEVELS)}."))
    log_format: str = field(default="json", metadata=_about(f"One of {', '.join(FORMATS)}."))


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return PREFIX + name.upper()


def in_file(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Raises BadSettings; `--help` and unknown flags end the process, as usual."""
    parsed = vars(_parser().parse_args(arguments))
    file = parsed.pop("config") or environment.get(f"{PREFIX}CONFIG")
    given: dict[str, tuple[str, Any]] = {}
    if file:
        given.update(_of_file(Path(file)))
    for each in dataclasses.fields(Settings):
        if (value := environment.get(variable(each.name))) is not None:
            given[each.name] = (variable(each.name), value)
        if (value := parsed[each.name]) is not None:
            given[each.name] = (flag(each.name), value)
    values = {name: _value(name, where, value) for name, (where, value) in given.items()}
    settings = Settings(**values)
    _check(settings)
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flowjob_operator", description="The Kubernetes operator of flowjob."
    )
    parser.add_argument(
        "--config", metavar="FILE", help="YAML with any of these, in camelCase: lowest precedence"
    )
    for each in dataclasses.fields(Settings):
        about = str(each.metadata["about"]).replace("%", "%%")
        if each.type == "bool":
            parser.add_argument(flag(each.name), nargs="?", const="true", default=None, help=about)
        else:
            parser.add_argument(flag(each.name), default=None, help=about)
    return parser


def _of_file(file: Path) -> dict[str, tuple[str, Any]]:
    try:
        found = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise BadSettings(f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise BadSettings(f"{file}: a map of settings is expected")
    names = {in_file(each.name): each.name for each in dataclasses.fields(Settings)}
    unknown = sorted(str(name) for name in found if name not in names)
    if unknown:
        known = ", ".join(sorted(names))
        raise BadSettings(f"{file}: there is no setting {', '.join(unknown)}; there are {known}")
    return {names[k]: (f"{k} in {file}", v) for k, v in found.items() if v is not None}


def _value(name: str, where: str, value: Any) -> Any:
    """Of the setting's type. Raises BadSettings."""
    about = next(each for each in dataclasses.fields(Settings) if each.name == name)
    try:
        if about.metadata.get("duration"):
            return seconds(value)
        match about.type:
            case "int":
                return int(str(value))
            case "bool":
                return _truth(value)
            case "tuple[str, ...]":
                parts = value if isinstance(value, list) else str(value).split(",")
                return tuple(str(part).strip() for part in parts if str(part).strip())
            case "Mapping[str, object]":
                return _map(value)
    except ValueError as error:
        raise BadSettings(f"{where}: {error}") from None
    return str(value)


def seconds(value: Any) -> float:
    """Of `250ms`, `10s`, `5m`, `1h`. Raises ValueError."""
    found = DURATION.fullmatch(str(value))
    if found is None:
        raise ValueError(f"{value!r} is no duration such as 10s, 250ms or 5m")
    return float(found[1]) * SECONDS[found[2]]


def _truth(value: Any) -> bool:
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return word == "true"


def _map(value: Any) -> dict[str, object]:
    if isinstance(value, dict):
        return {str(k): v for k, v in value.items()}
    if str(value).lstrip().startswith("{"):
        found = yaml.safe_load(str(value))
        return {str(k): v for k, v in found.items()}
    pairs = [part.partition("=") for part in str(value).split(",") if part.strip()]
    wrong = [name for name, mark, _ in pairs if not mark]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not path=value")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _check(settings: Settings) -> None:
    if not settings.lease_retry < settings.lease_renewal < settings.lease_duration:
        raise BadSettings("it must be leaseRetry < leaseRenewal < leaseDuration")
    for name, known in (("log_level", LEVELS), ("log_format", FORMATS)):
        if getattr(settings, name) not in known:
            raise BadSettings(
                f"{in_file(name)}: {getattr(settings, name)!r} is none of {', '.join(known)}"
            )
    for name in ("concurrency", "api_requests", "resync", "relist", "poll", "jobmanager_timeout"):
        if getattr(settings, name) <= 0:
            raise BadSettings(f"{in_file(name)} must be more than 0")
    if not NAME.fullmatch(settings.owner) or len(settings.owner) > 63:
        raise BadSettings(f"owner: {settings.owner!r} is no name of a-z, 0-9, - and .")
    for namespace in settings.namespaces:
        if not NAME.fullmatch(namespace):
            raise BadSettings(f"namespaces: {namespace!r} is no namespace's name")
