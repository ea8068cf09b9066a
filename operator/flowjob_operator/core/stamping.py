"""What is said of an object now becomes its list of conditions: only a flip of the status moves the time.

For FlowJobs and FlowSnapshots alike; what is said is decided elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from flowjob_operator.core.reasons import Reason
from flowjob_operator.resources.conditions import Condition, ConditionType, Truth

Said = tuple[Truth, Reason, str]


def stamped(
    said: Mapping[ConditionType, Said], before: Iterable[Condition], now: datetime, generation: int
) -> list[Condition]:
    """In the order in which it is said. The time of a flip is when it was first seen."""
    known = {condition.type: condition for condition in before}
    found = []
    for kind, (truth, reason, message) in said.items():
        old = known.get(kind.value)
        found.append(
            Condition(
                type=kind.value,
                status=truth,
                reason=reason.value,
                message=message,
                last_transition_time=old.last_transition_time
                if old is not None and old.status is truth
                else now,
                observed_generation=generation,
            )
        )
    return found
