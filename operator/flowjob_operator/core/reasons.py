"""The reasons that conditions and events give, each one word: programs match on them, so they are never renamed.

What each means and what to do about it is in docs/operations.md; a test compares the two. Decides nothing."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """Values are what users see."""

    # How the job is.
    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    FINISHED = "Finished"
    CANCELLED = "Cancelled"
    FAILED = "Failed"
    DELETING = "Deleting"
    RESTARTING = "Restarting"
    CRASH_LOOP = "CrashLoop"
    JOB_MANAGER_UNREACHABLE = "JobManagerUnreachable"
    PODS_NOT_READY = "PodsNotReady"
    PAUSED = "Paused"
    HEALTHY = "Healthy"
    # What is being done.
    UP_TO_DATE = "UpToDate"
    PREFLIGHT = "Preflight"
    UPGRADING = "Upgrading"
    MOVING = "Moving"
    RESCALING = "Rescaling"
    ROLLING_TASK_MANAGERS = "RollingTaskManagers"
    CHANGING_SETTINGS = "ChangingSettings"
    RESTORING = "Restoring"
    ROLLING_BACK = "RollingBack"
    SUSPENDING = "Suspending"
    RESUMING = "Resuming"
    CANCELLING = "Cancelling"
    WAITING_FOR_SAVEPOINT = "WaitingForSavepoint"
    WAITING_FOR_SNAPSHOT = "WaitingForSnapshot"
    # Why something is not done.
    PREFLIGHT_FAILED = "PreflightFailed"
    OBJECTS_REFUSED = "ObjectsRefused"
    SPEC_REFUSED = "SpecRefused"
    SLOTS_UNAVAILABLE = "SlotsUnavailable"
    RESCALE_FAILED = "RescaleFailed"
    SETTINGS_REFUSED = "SettingsRefused"
    MOVE_NEEDS_SAVEPOINT = "MoveNeedsSavepoint"
    MAX_PARALLELISM_FIXED = "MaxParallelismFixed"
    PARALLELISM_TOO_HIGH = "ParallelismTooHigh"
    CANCELLED_FOR_GOOD = "CancelledForGood"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_WOULD_REPEAT = "RollbackWouldRepeat"
    DEFAULTS_INVALID = "DefaultsInvalid"
    OWNED_BY_ANOTHER = "OwnedByAnother"
    # Checkpoints.
    FRESH = "Fresh"
    STALE = "Stale"
    NONE_YET = "NoneYet"
    OFF = "Off"
    NOT_RUNNING = "NotRunning"
    FAILING = "Failing"
    # Events, besides those above.
    SAVEPOINT_FAILED = "SavepointFailed"
    FELL_BACK = "FellBack"
    REPAIRED = "Repaired"
    STABLE = "Stable"
    POD_FORCED = "PodForced"
    IDENTITY_RENEWED = "IdentityRenewed"
    STATE_RETAINED = "StateRetained"
    SCHEDULE_INVALID = "ScheduleInvalid"
    # Of FlowSnapshots.
    IN_USE = "InUse"
    NOT_IN_USE = "NotInUse"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    ABANDONED = "Abandoned"
    JOB_MISSING = "JobMissing"
    JOB_NOT_RUNNING = "JobNotRunning"
    VERIFYING = "Verifying"
    DISPOSING = "Disposing"
    DISPOSAL_FAILED = "DisposalFailed"
