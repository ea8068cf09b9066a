"""Which leftovers of earlier attempts a starting writer removes, and which are somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowjob.connectors.files.local_place import LocalPlace
from flowjob.connectors.leftovers import Leftovers

SECOND_OF_THREE = Leftovers(attempt=5, subtask=1, parallelism=3)
FIRST_OF_THREE = Leftovers(attempt=5, subtask=0, parallelism=3)


@pytest.mark.parametrize(
    ("writer", "attempt", "subtask", "removed"),
    [
        (SECOND_OF_THREE, 4, 1, True),
        (SECOND_OF_THREE, 5, 1, False),  # its own, now
        (SECOND_OF_THREE, 4, 0, False),  # of a region that may go on
        (SECOND_OF_THREE, 4, 7, False),
        (FIRST_OF_THREE, 4, 0, True),
        (FIRST_OF_THREE, 4, 2, False),
        (FIRST_OF_THREE, 4, 3, True),  # of a greater parallelism: there is no such subtask any more
    ],
)
def test_a_writer_removes_what_nobody_else_has(
    writer: Leftovers, attempt: int, subtask: int, removed: bool
) -> None:
    assert writer.include(attempt, subtask) is removed


def test_a_region_that_starts_again_leaves_the_files_of_those_that_go_on(tmp_path: Path) -> None:
    place = LocalPlace(str(tmp_path))
    for name in ("part-r-s-1-0000-00000.csv", "part-r-s-1-0001-00000.csv", "part-r-s-1-x"):
        Path(place.path(name)).touch()
    place.sweep("part-r-s-", Leftovers(attempt=2, subtask=0, parallelism=2), frozenset())
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".part-r-s-1-0001-00000.csv.inprogress", ".part-r-s-1-x.inprogress"]
