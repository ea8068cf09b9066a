"""Tables that a job shows at its end: the first rows of each sink, and how many more there were."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pyarrow as pa
from rich.console import Console

from flowjob.cli.results import ShownTables
from flowjob.connectors.collect import encode_report
from flowjob.plan.types import OBJECT_COLUMN
from flowjob.runtime.batch import Batch


def report(numbers: list[int], kinds: list[int] | None = None) -> bytes:
    columns = pa.record_batch({"n": pa.array(numbers)})
    return encode_report(
        Batch(columns, None, None if kinds is None else np.array(kinds, dtype=np.int8))
    )


def drawn(tables: ShownTables) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80)
    for table in tables.render():
        console.print(table)
    return [line.strip() for line in out.getvalue().splitlines() if line.strip(" ─")]


def test_rows_of_a_sink_make_a_table_under_its_title() -> None:
    tables = ShownTables(10)
    tables.add("collect hourly delays", report([1, 2]))
    tables.add("collect hourly delays", report([3]))
    assert drawn(tables) == ["hourly delays", "n", "1", "2", "3"]


def test_what_is_beyond_the_limit_is_counted() -> None:
    tables = ShownTables(2)
    tables.add("collect", report([1]))
    tables.add("collect", report([2, 3]))
    tables.add("collect", report([4]))
    assert drawn(tables)[-1] == "… and 2 more of 4 rows"


def test_tables_come_in_the_order_of_the_program() -> None:
    tables = ShownTables(5, ["collect a", "collect silent", "collect b"])
    for sink in ("collect b", "collect a"):
        tables.add(sink, report([1]))
    assert [line for line in drawn(tables) if line in "ab"] == ["a", "b"]


def test_rows_of_a_changelog_show_their_kinds() -> None:
    tables = ShownTables(5)
    tables.add("collect", report([1, 1, 2], [0, 1, 2]))
    assert [line.split() for line in drawn(tables)[-3:]] == [["+I", "1"], ["-U", "1"], ["+U", "2"]]


def test_objects_are_shown_in_their_printed_form() -> None:
    pickled = [pickle.dumps((1, "a")), b"no pickle"]
    columns = pa.record_batch({OBJECT_COLUMN: pa.array(pickled, pa.binary())})
    tables = ShownTables(10)
    tables.add("collect", encode_report(Batch(columns)))
    assert drawn(tables)[:2] == ["value", "(1, 'a')"]
    assert "cannot be shown here: UnpicklingError" in drawn(tables)[2]


def test_tables_say_when_a_restart_may_have_brought_rows_again() -> None:
    tables = ShownTables(10)
    tables.restarted()
    tables.add("collect late", report([1, 2]))
    assert drawn(tables) == ["late", "n", "1", "2"], "nothing was shown before the restart"
    tables.restarted()
    tables.add("collect late", report([2]))
    note = " ".join(drawn(tables)[5:])
    assert note.startswith("The job was restarted once meanwhile: some of these rows may be there")
    tables.restarted()
    assert "restarted 2 times" in " ".join(drawn(tables))
