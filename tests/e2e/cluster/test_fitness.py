"""What a machine lacks for a cluster of its own is said in one sentence, the first thing first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.e2e.cluster.local.fitness import CONTROLLERS, GIB, Machine, this_machine, what_is_missing

FIT = Machine(
    system="Linux",
    user=0,
    capabilities=2**40 - 1,
    groups=dict.fromkeys(CONTROLLERS, True),
    file_systems=frozenset({"ext4", "overlay"}),
    programs={"go": True, "apt-get": True, "runc": True},
    built=False,
    memory=16 * GIB,
    disk=40 * GIB,
)
BARE = {"go": True, "apt-get": True, "runc": False}


@pytest.mark.parametrize(
    "machine",
    [
        FIT,
        replace(FIT, groups={"unified": True}),
        replace(FIT, programs=BARE),
        replace(FIT, programs={**BARE, "go": False}, built=True, disk=GIB),
    ],
    ids=["has everything", "cgroup v2", "packages can be installed", "built already"],
)
def test_a_fit_machine_lacks_nothing(machine: Machine) -> None:
    assert what_is_missing(machine) is None


@pytest.mark.parametrize(
    ("machine", "word"),
    [
        (replace(FIT, system="Darwin"), "Linux"),
        (replace(FIT, user=1000, capabilities=0), "root"),
        (replace(FIT, capabilities=0xA80425FB), "CAP_SYS_ADMIN and CAP_NET_ADMIN"),
        (replace(FIT, groups={**FIT.groups, "memory": False}), "(memory)"),
        (replace(FIT, groups={"unified": False}), "control groups"),
        (replace(FIT, file_systems=frozenset({"ext4"})), "overlay"),
        (replace(FIT, programs={**FIT.programs, "go": False}), "Go"),
        (replace(FIT, programs={**BARE, "apt-get": False}), "runc must be installed"),
        (replace(FIT, memory=2 * GIB), "2.0"),
        (replace(FIT, disk=3 * GIB), "3.0 are free"),
    ],
)
def test_what_a_machine_lacks_is_said(machine: Machine, word: str) -> None:
    said = what_is_missing(machine)
    assert said is not None
    assert word in said
    assert "\n" not in said


def test_every_machine_can_be_looked_at() -> None:
    seen = this_machine(built=False, needed={"no-such-program": "package"})
    assert not seen.programs["no-such-program"]
    assert seen.memory > 0
