"""What tasks had counted before they were started again: a vertex's counters must not go back when some subtasks do.

A counter that falls by a part is read as one that began anew, and all of the rest as new. So what is gone is added to
what counts now. Bounded by the tasks of the job; a job of another shape begins anew as a whole, which is no harm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COUNTED = (
    "rows_in",
    "rows_out",
    "bytes_in",
    "bytes_out",
    "batches_out",
    "busy_us",
    "idle_us",
    "backpressured_us",
)
"""Of runtime/task_metrics.py, what begins at 0 with each attempt; `splits_read` does not."""

_OF_OPERATORS = ("late_rows", "bad_rows")

Key = tuple[int, int]
"""(vertex, subtask)"""


class FormerCounts:
    """By task, of all its attempts that are over."""

    def __init__(self) -> None:
        self._of: dict[Key, dict[str, Any]] = {}

    def over(self, task: Key, values: Mapping[str, Any]) -> None:
        """An attempt of the task is; `values` is what it said last."""
        before = self._of.get(task, {})
        found: dict[str, Any] = {n: values.get(n, 0) + before.get(n, 0) for n in COUNTED}
        operators = [*values.get("operators", ()), *before.get("operators", ())]
        sums = {n: sum(o.get(n, 0) for o in operators) for n in _OF_OPERATORS}
        self._of[task] = {**found, "operators": [sums]}

    def with_former(self, tasks: Mapping[Key, Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
        """What tasks say now, and of those that have not said anything yet what they said before."""
        found: dict[Key, Mapping[str, Any]] = {**self._of, **tasks}
        for task in self._of.keys() & tasks.keys():
            before, values = self._of[task], tasks[task]
            counts = {n: values.get(n, 0) + before[n] for n in COUNTED}
            operators = [*values.get("operators", ()), *before["operators"]]
            found[task] = {**values, **counts, "operators": operators}
        return found
