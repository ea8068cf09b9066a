"""What an upgrade would do, in lines for people.

Pure. With --json the plan is printed as it came."""

from __future__ import annotations

from collections.abc import Iterator

from flowjob.client.models import UpgradePlan


def plan_lines(plan: UpgradePlan) -> Iterator[str]:
    """What would be done, what changes, which state moves, what stands against it."""
    verdict = "would be done" if plan.accepted else "would be REFUSED"
    yield f"{verdict}: {', then '.join(plan.actions) or 'nothing: it is so already'}"
    for problem in plan.problems:
        yield f"  problem: {problem}"
    for change in plan.changes:
        yield f"  {change.field}: {change.old or '(unset)'} -> {change.new or '(unset)'}  [{change.kind}]"
    if plan.restore_from:
        yield f"  begins from {plan.restore_from}"
    if plan.task_managers is not None:
        yield f"  on {plan.task_managers} TaskManager{'' if plan.task_managers == 1 else 's'}"
    for move in plan.state:
        label = (
            move.operator
            if move.uid in (None, move.operator)
            else f"{move.operator} (`{move.uid}`)"
        )
        size = f" ({move.bytes:,} bytes)" if move.bytes else ""
        yield f"  state {move.outcome.lower():<13} {label}{': ' if move.text else ''}{move.text}{size}"
    for note in plan.notes:
        yield f"  note: {note}"
