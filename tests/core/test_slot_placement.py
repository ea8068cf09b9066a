"""Which TaskManagers' slots may be used."""

from __future__ import annotations

import pytest

from flowjob.core.slot_placement import Places, ordinal_of


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [("flights-tm-0", 0), ("a-b-tm-17", 17), ("taskmanager", None), ("tm-x", None), ("7", None), ("tm-٣", None)],
)  # fmt: skip
def test_a_pod_of_a_set_has_an_ordinal_at_the_end_of_its_name(
    name: str, ordinal: int | None
) -> None:
    assert ordinal_of(name) == ordinal


def test_slots_above_the_low_ordinals_and_of_those_that_leave_are_not_used() -> None:
    places = Places(below=2, leaving=frozenset({"j-tm-0"}))
    offered = {name: places.usable(name, 4) for name in ("j-tm-0", "j-tm-1", "j-tm-2", "laptop")}
    assert offered == {"j-tm-0": 0, "j-tm-1": 4, "j-tm-2": 0, "laptop": 4}
    assert Places().usable("j-tm-9", 3) == 3
