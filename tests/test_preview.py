"""`stream.preview`: as many rows as were asked for, and the job ends then."""

from __future__ import annotations

import pytest

import flowjob as fj
from flowjob.connectors.datagen.source import datagen
from flowjob.values import sequence

pytestmark = pytest.mark.slow


def endless() -> fj.Stream:
    return fj.Job("j").read(datagen({"x": sequence()}))


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_preview_of_a_stream_without_end_ends(parallelism: int) -> None:
    assert len(endless().preview(7, parallelism=parallelism)) == 7


def test_objects_are_shown_in_their_printed_form() -> None:
    shown = endless().map(lambda row: (row.x * 0, "a")).preview(2)
    assert shown.rows == [{"value": "(0, 'a')"}, {"value": "(0, 'a')"}]
