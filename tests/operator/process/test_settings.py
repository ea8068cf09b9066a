"""Settings: where they come from, in which order, and that a wrong one is named. The document says the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from flowjob_operator.process.permissions import PERMISSIONS
from flowjob_operator.process.platforms import platform_of
from flowjob_operator.process.settings import (
    BadSettings,
    Settings,
    flag,
    in_file,
    read_settings,
    variable,
)

DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs/operator.md"


def test_flags_go_before_the_environment_before_the_file_before_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("resync: 1m\npoll: 7s\nlease: mine\nnamespaces: [a, b]\n")
    environment = {
        "FLOWJOB_OPERATOR_CONFIG": str(file),
        "FLOWJOB_OPERATOR_RESYNC": "2m",
        "FLOWJOB_OPERATOR_POLL": "8s",
    }
    found = read_settings(["--resync", "3m"], environment)
    assert (found.resync, found.poll, found.lease) == (180.0, 8.0, "mine")
    assert found.namespaces == ("a", "b")
    assert found.concurrency == Settings().concurrency


def test_defaults_of_jobs_keep_their_types_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("defaults: {checkpoints.interval: 30s, taskManager.slots: 2}\n")
    found = read_settings(["--config", str(file)], {})
    assert found.defaults == {"checkpoints.interval": "30s", "taskManager.slots": 2}
    assert read_settings(["--defaults", "a.b=1,c=2s"], {}).defaults == {"a.b": "1", "c": "2s"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resync", "soon"], "--resync: 'soon' is no duration"),
        (["--concurrency", "many"], "--concurrency: invalid literal"),
        (["--concurrency", "0"], "concurrency must be more than 0"),
        (["--dry-run", "perhaps"], "--dry-run: 'perhaps' is neither true nor false"),
        (["--log-level", "loud"], "logLevel: 'loud' is none of debug, info, warning, error"),
        (["--lease-renewal", "20s"], "leaseRetry < leaseRenewal < leaseDuration"),
        (["--owner", "Me!"], "owner: 'Me!' is no name"),
        (["--namespaces", "a,B"], "namespaces: 'B' is no namespace's name"),
        (["--defaults", "x"], "'x' is not path=value"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_a_wrong_one_is_named(arguments: list[str], says: str) -> None:
    with pytest.raises(BadSettings, match=re.escape(says)):
        read_settings(arguments, {})


def test_an_unknown_one_in_the_file_is_named_with_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("resyncc: 1m\n")
    with pytest.raises(BadSettings, match=r"there is no setting resyncc; there are .*resync"):
        read_settings(["--config", str(file)], {})


def test_the_platform_of_jobs_is_read_and_judged() -> None:
    said = {
        "networkPolicies": False,
        "prometheus": [{"podSelector": {}}],
        "operatorLabels": {"a": "b"},
    }
    found = platform_of(Settings(namespace="operators", platform=said))
    assert (found.namespace, found.network_policies) == ("operators", False)
    assert found.prometheus == ({"podSelector": {}},)
    for wrong in ({"egres": []}, {"egress": "all"}, {"operatorLabels": "x"}):
        with pytest.raises(BadSettings, match="platform"):
            platform_of(Settings(platform=wrong))


# -- the document


def rows(first: str) -> set[str]:
    """Of the table whose head begins with `first`: what is in backticks in its first column."""
    text = DOCUMENT.read_text()
    table = text.split(f"| {first} ", 1)[1].split("\n\n", 1)[0]
    return {m[1] for line in table.splitlines()[2:] if (m := re.match(r"\| `([^`]+)`", line))}


def test_every_setting_is_documented() -> None:
    names = [each.name for each in dataclasses.fields(Settings)]
    assert rows("Setting") == {in_file(name) for name in names}
    assert (flag("lease_retry"), variable("lease_retry")) == (
        "--lease-retry",
        "FLOWJOB_OPERATOR_LEASE_RETRY",
    )


def test_every_permission_is_documented_with_its_reason() -> None:
    text = DOCUMENT.read_text()
    for each in PERMISSIONS:
        verbs = ", ".join(each.verbs)
        assert f"| `{each.resource}` | {verbs} | {each.reason} |" in text, each


def test_permissions_never_read_secrets_of_jobs_nor_write_specs_whole() -> None:
    of_jobs = {
        verb
        for each in PERMISSIONS
        if each.where != "own" and each.resource == "secrets"
        for verb in each.verbs
    }
    assert of_jobs == {"create", "update"}
    assert not any("*" in (each.resource, each.group, *each.verbs) for each in PERMISSIONS)
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    assert not any(writes & set(each.verbs) for each in PERMISSIONS if each.where == "cluster")
