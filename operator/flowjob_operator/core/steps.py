"""The steps of operations, as status.operation.step names them, and what a new edit of the spec may do during each.

Words are stored: an operator continues what an older one began. Decides nothing."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    CHECKING = "Checking"
    """Its state is found, and the API server is asked whether it takes all objects"""
    PREFLIGHT = "Preflight"
    """One pod of the new revision tries it; nothing that runs is touched"""
    SAVING = "Saving"
    """The revision is kept in a ControllerRevision: from here on it is this spec that is deployed"""
    STOPPING = "Stopping"
    """The job is stopped, with a savepoint if that is wanted and possible"""
    DEPLOYING = "Deploying"
    """The old JobManager goes, the new objects come"""
    STARTING = "Starting"
    """Until the job runs"""
    SETTINGS = "Settings"
    """The JobManager is told new settings"""
    GROWING = "Growing"
    """TaskManagers are added, until their slots are offered"""
    ROLLING = "Rolling"
    """All TaskManagers are replaced"""
    REDEPLOYING = "Redeploying"
    """The JobManager goes on at another parallelism"""
    REMOVING = "Removing"
    """Pods go"""
    DISPOSING = "Disposing"
    """What the job has stored is deleted"""


DROPPABLE = frozenset({Step.CHECKING, Step.PREFLIGHT, Step.SAVING, Step.GROWING})
"""Nothing that runs was touched: any edit of the spec begins anew."""

IN_PLACE_STEPS = frozenset({Step.SETTINGS, Step.REDEPLOYING})
"""What the JobManager does soon, if the job runs."""

REPLACEABLE = frozenset({Step.DEPLOYING, Step.STARTING, Step.ROLLING})
"""What is deployed may be the mistake: an edit that asks for something begins anew from here."""
