"""What the chart's hook does to a cluster's definitions, and what it refuses to do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from flowjob_operator.crds import __main__ as command
from flowjob_operator.crds.applying import ESTABLISHED_SECONDS, Refused, Waiting, apply
from flowjob_operator.crds.comparing import VERSION_ANNOTATION, fields, objections
from flowjob_operator.resources.crd import definition
from flowjob_operator.resources.kinds import CRD_VERSION, FLOWJOB, KINDS

Object = dict[str, Any]
OURS = definition(FLOWJOB)
NAME = OURS["metadata"]["name"]


def changed(change: Callable[[Object], Any]) -> Object:
    made = copy.deepcopy(OURS)
    change(made)
    return made


def version_of(made: Object) -> Object:
    found: Object = made["spec"]["versions"][0]
    return found


def spec_of(made: Object) -> Object:
    found: Object = version_of(made)["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]
    return found


def says(number: str) -> Callable[[Object], None]:
    return lambda made: made["metadata"]["annotations"].update({VERSION_ANNOTATION: number})


def test_a_definition_may_take_its_own_place() -> None:
    assert objections(OURS, OURS) == []


ACCEPTED: dict[str, Callable[[Object], Any]] = {
    "an older one": says(str(CRD_VERSION - 1)),
    "one from before there were versions": lambda made: made["metadata"].pop("annotations"),
    "one with fewer fields": lambda made: spec_of(made).pop("priorState"),
    "one that allowed less": lambda made: spec_of(made)["job"]["properties"]["script"].update(
        maxLength=1
    ),
    "one with other columns": lambda made: version_of(made).pop("additionalPrinterColumns"),
    "one whose templates were spelled out": lambda made: spec_of(made)["jobManager"][
        "properties"
    ].update(podTemplate={"type": "object", "properties": {"spec": {"type": "object"}}}),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_it_takes_the_place_of(change: Callable[[Object], Any]) -> None:
    assert objections(changed(change), OURS) == []


def add(where: str, part: Object) -> Callable[[Object], None]:
    def change(made: Object) -> None:
        node = {"properties": spec_of(made)}
        *path, last = where.split(".")
        for name in path:
            node = node["properties"][name]
        node["properties"][last] = part

    return change


TEXT = {"type": "string"}
REFUSED: list[tuple[str, Callable[[Object], Any], list[str]]] = [
    ("a newer one", says(str(CRD_VERSION + 1)), [f"version {CRD_VERSION + 1}", "as new"]),
    ("one that says no number", says("next"), ["`next`", "no number"]),
    ("one with a further field", add("colour", TEXT), ["would lose .spec.colour:"]),
    ("one with a field deep in it", add("job.stop.slowly", TEXT), [".spec.job.stop.slowly"]),
    (
        "one with a field in a list",
        add("steps", {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}),
        [".spec.steps,", ".spec.steps[],", ".spec.steps[].a:"],
    ),
    (
        "one with a map of objects",
        add(
            "maps",
            {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {"a": TEXT}},
            },
        ),
        [".spec.maps.*.a"],
    ),
    (
        "one that kept whatever it was given",
        add("free", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        [".spec.free,", ".spec.free.**"],
    ),
    (
        "one with many further fields",
        lambda made: spec_of(made).update({f"a{n}": TEXT for n in range(8)}),
        [".spec.a4 and 3 more"],
    ),
    (
        "one with another version that is served",
        lambda made: made["spec"]["versions"].append({**version_of(made), "name": "v1"}),
        ["version v1 would be removed"],
    ),
    (
        "one with a version that objects are stored in",
        lambda made: made.update(status={"storedVersions": ["v1alpha1", "v1beta1"]}),
        ["version v1alpha1 would be removed"],
    ),
    (
        "one of whole clusters",
        lambda made: made["spec"].update(scope="Cluster"),
        ["scope Cluster", "somebody else"],
    ),
]


@pytest.mark.parametrize(
    ("change", "words"), [(c, w) for _, c, w in REFUSED], ids=[what for what, _, _ in REFUSED]
)
def test_it_refuses_to_take_the_place_of(change: Callable[[Object], Any], words: list[str]) -> None:
    (said,) = objections(changed(change), OURS)
    assert said.startswith(NAME)
    assert [word for word in words if word not in said] == []


def test_every_field_of_the_models_is_compared() -> None:
    schema = version_of(OURS)["schema"]["openAPIV3Schema"]
    found = set(fields(schema))
    assert {
        ".spec.job.args.*",
        ".spec.imagePullSecrets[].name",
        ".spec.taskManager.podTemplate.**",
        ".status.operation.expected.path",
        ".metadata",
    } <= found


@dataclass
class FakeCluster:
    """Has definitions by name; one is served after it was asked for so often."""

    there: dict[str, Object] = field(default_factory=dict)
    served_after: float = 2
    written: list[str] = field(default_factory=list)
    refuses: str = ""
    _asked: int = 0

    def get(self, name: str) -> Object | None:
        found = copy.deepcopy(self.there.get(name))
        if found is not None:
            self._asked += 1
            served = "True" if self._asked > self.served_after else "False"
            found.setdefault("status", {})["conditions"] = [
                {"type": "NamesAccepted", "status": "True"},
                {"type": "Established", "status": served, "message": "not yet"},
            ]
        return found

    def apply(self, definition: Object, *, dry_run: bool) -> Object:
        name = definition["metadata"]["name"]
        if name == self.refuses:
            raise RuntimeError("invalid")
        old = self.there.get(name)
        made = copy.deepcopy(definition)
        generation = 1 if old is None else old["metadata"]["generation"]
        same = old is not None and old["spec"] == definition["spec"]
        made["metadata"]["generation"] = generation if same or old is None else generation + 1
        if not dry_run:
            self.there[name] = made
            self.written.append(name)
        return made


@dataclass
class Time:
    passed: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def waiting(self) -> Waiting:
        return Waiting(lambda: self.passed, self.sleep)


ALL = [definition(kind) for kind in KINDS]
NAMES = [d["metadata"]["name"] for d in ALL]


def test_it_makes_all_and_waits_until_they_are_served() -> None:
    cluster, clock = FakeCluster(served_after=4), Time()
    assert apply(cluster, ALL, clock.waiting()) == [f"{name} created" for name in NAMES]
    assert cluster.written == NAMES
    assert clock.passed > 0


def test_a_second_time_nothing_changes() -> None:
    cluster = FakeCluster(served_after=0)
    apply(cluster, ALL, Time().waiting())
    assert apply(cluster, ALL, Time().waiting()) == [f"{name} unchanged" for name in NAMES]
    version_of(cluster.there[NAME]).pop("additionalPrinterColumns")
    assert apply(cluster, ALL, Time().waiting())[0] == f"{NAME} changed"


def test_when_one_is_refused_none_is_written() -> None:
    newer = copy.deepcopy(ALL[1])
    says("99")(newer)
    cluster = FakeCluster({NAMES[1]: newer})
    with pytest.raises(Refused, match="version 99"):
        apply(cluster, ALL, Time().waiting())
    assert cluster.written == []


def test_when_the_api_server_would_not_take_one_none_is_written() -> None:
    cluster = FakeCluster(refuses=NAMES[1])
    with pytest.raises(RuntimeError):
        apply(cluster, ALL, Time().waiting())
    assert cluster.written == []


def test_one_that_is_never_served_says_why() -> None:
    clock = Time()
    with pytest.raises(TimeoutError, match="Established=False \\(not yet\\)"):
        apply(FakeCluster(served_after=1e9), ALL, clock.waiting())
    assert clock.passed == pytest.approx(ESTABLISHED_SECONDS, abs=1)


# -- the command


def test_print_shows_what_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["print"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == ALL


@pytest.mark.parametrize("arguments", [[], ["destroy"], ["apply", "now"]])
def test_other_words_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 64
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Refused(["a: older", "b: less"]), 1, ["nothing was changed", "- a: older", "- b: less"]),
        (TimeoutError("not served"), 2, ["not served"]),
        (command.client.ApiException(status=403, reason="Forbidden"), 2, ["403 Forbidden"]),
        (command.urllib3.exceptions.HTTPError("no route"), 2, ["no route"]),
        (command.config.ConfigException("no kubeconfig"), 2, ["no kubeconfig"]),
    ],
)
def test_a_failure_says_why_and_whether_to_try_again(
    error: Exception,
    status: int,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> Any:
        raise error

    monkeypatch.setattr(command, "connected", fail)
    assert command.main(["apply"]) == status
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_success_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "connected", lambda: FakeCluster(served_after=0))
    assert command.main(["apply"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} created" for name in NAMES]
