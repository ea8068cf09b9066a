"""The decisions of flowjob_operator.core, as the process calls them.

Only names: tests put scripted ones in their place."""

from __future__ import annotations

from flowjob_operator.core.actions import Outcome, SnapshotOutcome
from flowjob_operator.core.observed import Observed, SnapshotObserved
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.reconcile_snapshot import reconcile_snapshot


class CoreDecisions:
    """Decisions."""

    def of_job(self, observed: Observed) -> Outcome:
        return reconcile(observed)

    def of_snapshot(self, observed: SnapshotObserved) -> SnapshotOutcome:
        return reconcile_snapshot(observed, observed.revisions)
