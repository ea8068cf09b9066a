"""What writers of earlier attempts have left behind, and whose it is to remove.

For sinks that stage: what was staged and no snapshot knows of is nobody's, once its writer has ended. It must not know
where things are staged."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.connectors.base import SinkContext


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Those that a writer removes when it starts: of its own subtask, and the first one's also those of subtasks that
    there are no longer. Other subtasks may be of other regions, where an earlier attempt goes on."""

    attempt: int
    subtask: int
    parallelism: int

    @staticmethod
    def of(context: SinkContext) -> Leftovers | None:
        """None: there cannot be any."""
        if not context.commits or context.attempt == 1:
            return None
        return Leftovers(context.attempt, context.subtask, context.parallelism)

    def include(self, attempt: int, subtask: int) -> bool:
        """Whether what was staged by that writer is among them."""
        gone = self.subtask == 0 and subtask >= self.parallelism
        return attempt < self.attempt and (subtask == self.subtask or gone)
