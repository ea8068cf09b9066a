"""Every exception flowjob raises on purpose, in one tree.

Why here: a caller catches by meaning, docs list every code, and a worker can name the class of a failure
to the JobManager without pickling it. This module must not import anything of ours.

    FlowjobError
    ├── PlanError                 the program is wrong; nothing was started
    │   ├── UnknownColumn         a column that is not there, with the nearest name
    │   ├── TypeMismatch          an expression or function over the wrong type
    │   ├── MissingEventTime      event-time work on a stream without event time
    │   ├── UnsupportedChangelog  an operator that cannot take retractions
    │   ├── AmbiguousState        two operators that state cannot tell apart: add `.named`
    │   └── BadArguments          missing, unknown or ill-typed job arguments
    ├── SchemaError               a Schema class or a schema change that cannot be
    ├── MalformedInput            a row that a source cannot read, with file, line and text
    ├── StateError                state used where there is none, or written where it is only read
    ├── SnapshotError             a snapshot that cannot be read or started from
    │   ├── DamagedSnapshot       bytes of it are missing or not those that were written
    │   ├── StateMismatch         the job cannot take over what the snapshot holds
    │   ├── StateMissing          state was expected, and is not there: nothing is begun empty
    │   └── PriorState            an earlier job of that name has left state: somebody has to decide
    ├── AlreadyRunning            the same job runs here, with the same place for its checkpoints
    ├── NotRunning                something was asked of a job that does not run
    ├── NotDone                   a running job did not do what it was asked, and goes on
    ├── ServiceError              the service of jobs did not answer as it should, or refused
    │   ├── ServiceUnreachable    nobody answers at its address, or not in time
    │   ├── BadRequest            it does not understand, or cannot mean, what it was asked
    │   ├── NotAllowed            it does not know who asks, or that one may not
    │   ├── NotFound              no such job, snapshot or operation
    │   ├── Conflict              what is asked contradicts what is: another change, another owner
    │   ├── OperationFailed       what it had begun came to nothing
    │   └── DeadlinePassed        it is still under way after the time that was given
    ├── StorageError              a store that cannot be reached, refuses, or lost something
    │   ├── ObjectMissing         an object that is not there
    │   └── LostLeadership        another JobManager leads the job now
    │       └── OutdatedRevision  a newer revision of the job has led it
    ├── StoodDown                 this JobManager was told to leave; the job goes on
    ├── AlreadyEnded              a run that is over was to be continued
    ├── Unreachable               an address that cannot be listened on
    ├── ProtocolError             bytes or messages from a peer that break the protocol
    │   └── HandshakeRefused      a peer with the wrong version, token, key, certificate, job or attempt
    ├── BadIdentity               this process's certificate cannot be used
    ├── BadArtifact               the job's code cannot be fetched, or is not what was said
    └── JobFailed                 a job that ran and ended badly
        ├── UserCodeFailed        a user function raised: traceback, operator, row
        ├── WorkerLost            a slot or TaskManager went away
        ├── SnapshotsFailed       too many checkpoints failed, or results could not be committed
        ├── LostData              something a snapshot had promised is gone
        └── JobCancelled          somebody asked for it
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class FlowjobError(Exception):
    """Base of all of them. `code` is stable and documented in docs/errors.md."""

    code = "FLOWJOB"


class PlanError(FlowjobError):
    """The program is wrong; nothing was started. `where` is `file:line` of the user's call."""

    code = "PLAN"

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(f"{message}\n  at {where}" if where else message)
        self.message = message
        self.where = where


class UnknownColumn(PlanError):
    """A column that the stream does not have."""

    code = "UNKNOWN_COLUMN"

    def __init__(self, name: str, columns: Sequence[str], *, where: str | None = None) -> None:
        near = difflib.get_close_matches(name, columns, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        listed = ", ".join(columns) or "(none)"
        super().__init__(f"no column `{name}`.{hint} The columns are: {listed}", where=where)
        self.name = name
        self.columns = tuple(columns)


class TypeMismatch(PlanError):
    """An expression or a function over a type it cannot take."""

    code = "TYPE_MISMATCH"


class MissingEventTime(PlanError):
    """Event-time work was asked of a stream whose source declares no event time."""

    code = "MISSING_EVENT_TIME"


class UnsupportedChangelog(PlanError):
    """An operator or sink that only takes inserts stands behind one that retracts."""

    code = "UNSUPPORTED_CHANGELOG"


class AmbiguousState(PlanError):
    """Two stateful operators that state could not tell apart after a change of the program."""

    code = "AMBIGUOUS_STATE"


class BadArguments(PlanError):
    """Missing, unknown or ill-typed job arguments; lists all of them."""

    code = "BAD_ARGUMENTS"


class SchemaError(FlowjobError):
    """A Schema class that cannot be mapped to Arrow, or a change of one that cannot be followed."""

    code = "SCHEMA"


class MalformedInput(FlowjobError):
    """Input that does not fit its declaration. `location` is e.g. `file.csv:17`."""

    code = "MALFORMED_INPUT"

    def __init__(self, reason: str, *, location: str, text: str) -> None:
        shown = text if len(text) <= 500 else text[:500] + "…"
        super().__init__(
            f"{location}: {reason}\n  {shown}\n"
            'Set on_bad_row="skip" to count and skip such rows, or "divert" to get them as a stream.'
        )
        self.reason = reason
        self.location = location
        self.text = text


class StateError(FlowjobError):
    """State was used where there is none (outside a callback, without a key), or written where it is read-only."""

    code = "STATE"


class SnapshotError(FlowjobError):
    """A snapshot that cannot be read or started from: not there, incomplete, of a newer version."""

    code = "SNAPSHOT"


class DamagedSnapshot(SnapshotError):
    """Bytes of a snapshot are missing, or not those that were written. Names the object, expected and found."""

    code = "SNAPSHOT_DAMAGED"


class StateMismatch(SnapshotError):
    """The job cannot take over what the snapshot holds, or would lose some of it. Lists everything; nothing was
    started."""

    code = "STATE_MISMATCH"


class StateMissing(SnapshotError):
    """A snapshot that is known to have been complete cannot be found, nor a newer one. Nothing was started."""

    code = "STATE_MISSING"


class PriorState(SnapshotError):
    """An earlier job of the same name has left snapshots, and nobody has said what is to become of them."""

    code = "PRIOR_STATE"


class AlreadyRunning(FlowjobError):
    """The same job runs already, with the same place for its checkpoints; nothing was started."""

    code = "ALREADY_RUNNING"


class NotRunning(FlowjobError):
    """Something was asked of a job that does not run, or does not answer."""

    code = "NOT_RUNNING"


class NotDone(FlowjobError):
    """A running job did not do what it was asked, for the reason it gives; it goes on as if nothing had been said."""

    code = "NOT_DONE"


class ServiceError(FlowjobError):
    """The service of jobs did not answer as it should, or refused.

    `status`: of HTTP, 0 where there was no answer; `reason`: its own code for the problem; `next_step`: what to do."""

    code = "SERVICE"

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", next_step: str = ""
    ) -> None:
        super().__init__(f"{message}\n  {next_step}" if next_step else message)
        self.message = message
        self.status = status
        self.reason = reason
        self.next_step = next_step


class ServiceUnreachable(ServiceError):
    """Nobody answers at the service's address, or not in time."""

    code = "SERVICE_UNREACHABLE"


class BadRequest(ServiceError):
    """The service does not understand, or cannot mean, what it was asked. Nothing was done."""

    code = "BAD_REQUEST"


class NotAllowed(ServiceError):
    """The service does not know who asks, or that one may not. Nothing was done."""

    code = "NOT_ALLOWED"


class NotFound(ServiceError):
    """There is no such job, snapshot or operation, or the one who asks may not know of it."""

    code = "NOT_FOUND"


class Conflict(ServiceError):
    """What was asked contradicts what is: somebody else's change, a field that another owns, a job that is over."""

    code = "CONFLICT"


class OperationFailed(ServiceError):
    """What the service had begun came to nothing."""

    code = "OPERATION_FAILED"


class DeadlinePassed(ServiceError):
    """The time that was given is over, and what was asked is still under way: nobody has called it off."""

    code = "DEADLINE_PASSED"


class StorageError(FlowjobError):
    """A store could not be reached, refused us, or lost what it had taken. Says which, with the store's own words."""

    code = "STORAGE"


class ObjectMissing(StorageError):
    """There is no such object in the store."""

    code = "OBJECT_MISSING"


class LostLeadership(StorageError):
    """Another JobManager has claimed the job in its log: this one leads no more, and has to end."""

    code = "LOST_LEADERSHIP"


class OutdatedRevision(LostLeadership):
    """A newer revision of the job has led it: this JobManager must not. `leader`: address of who led last."""

    code = "OUTDATED_REVISION"

    def __init__(self, message: str, leader: str = "") -> None:
        super().__init__(message)
        self.leader = leader


class StoodDown(FlowjobError):
    """This JobManager was told to leave: the job goes on, and the next one finds it."""

    code = "STOOD_DOWN"


class AlreadyEnded(FlowjobError):
    """A JobManager was to continue a run that is over. `outcome`: `succeeded` or `cancelled`."""

    code = "ALREADY_ENDED"

    def __init__(self, outcome: str, run: str) -> None:
        super().__init__(
            f"run `{run}` of this job has {outcome}: there is nothing to continue. Begin another one with --run NAME"
        )
        self.outcome = outcome


class Unreachable(FlowjobError):
    """An address cannot be listened on."""

    code = "UNREACHABLE"


class ProtocolError(FlowjobError):
    """Bytes or messages from a peer that break the protocol; ends the connection."""

    code = "PROTOCOL"


class HandshakeRefused(ProtocolError):
    """A peer with the wrong protocol version, token, job or attempt."""

    code = "HANDSHAKE_REFUSED"


class BadIdentity(FlowjobError):
    """The certificate, key or CA that this process was given cannot be used, or are another one's."""

    code = "IDENTITY"


class BadArtifact(FlowjobError):
    """The job's code cannot be fetched from where it was said to be, may not be, or is not what was said."""

    code = "ARTIFACT"


class JobFailed(FlowjobError):
    """A job that ran and ended badly."""

    code = "JOB_FAILED"


class SnapshotsFailed(JobFailed):
    """Too many checkpoints in a row came to nothing, or a sink did not commit what one had promised."""

    code = "SNAPSHOTS_FAILED"


class LostData(JobFailed):
    """What a snapshot had promised is gone: a file or transaction that was prepared and neither is pending nor was
    committed. Never restarted, because a restart would hide it."""

    code = "LOST_DATA"


class UserCodeFailed(JobFailed):
    """A user function raised. Shown with the user's own traceback first.

    `operator` is the operator's display name, `row` a printed form of the offending row, or None when
    the function did not get a single row; `user_traceback` is already formatted text."""

    code = "USER_CODE"

    def __init__(
        self, *, user_traceback: str, operator: str, row: str | None, subtask: int
    ) -> None:
        lines = [user_traceback.rstrip(), f"in operator: {operator} (subtask {subtask})"]
        if row is not None:
            lines.append(f"row: {row}")
        super().__init__("\n".join(lines))
        self.user_traceback = user_traceback
        self.operator = operator
        self.row = row
        self.subtask = subtask


class WorkerLost(JobFailed):
    """A slot or TaskManager process went away: killed, crashed or unreachable."""

    code = "WORKER_LOST"


class JobCancelled(JobFailed):
    """The job was cancelled: Ctrl-C, SIGTERM or a request."""

    code = "CANCELLED"
