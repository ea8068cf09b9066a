"""A cluster with one FlowJob, its JobManager and its storage log, in virtual time: just enough of each to be wrong in.

`World.turn()` is one pass of the operator: it observes, decides, writes the status with the resourceVersion it saw,
then acts; it may be told to die before any of these. What must never happen is noted at every step."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from flowjob.cluster import control_api as api
from flowjob.cluster.preflight_answer import PreflightAnswer, StorageAnswer
from flowjob_operator.core import actions as a
from flowjob_operator.core.asking import asked_of_job
from flowjob_operator.core.observed import (
    JOB_MANAGER,
    TASK_MANAGER,
    Child,
    Container,
    Defaults,
    DryRunAnswer,
    IdentityFacts,
    ObjectKey,
    Observed,
    Operator,
    Pod,
    PreflightRun,
    SavedRevision,
    SnapshotObserved,
    StorageRun,
    Unreachable,
)
from flowjob_operator.core.reconcile import reconcile
from flowjob_operator.core.reconcile_snapshot import reconcile_snapshot
from flowjob_operator.core.revision import Beginning, Part, Revision
from flowjob_operator.resources.flowjob_spec import FlowJobSpec
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Source
from flowjob_operator.resources.flowsnapshot import FlowSnapshotStatus
from flowjob_operator.resources.kinds import FlowJob, FlowSnapshot, Metadata

BEGINNING = datetime(2026, 11, 21, 12, tzinfo=UTC)
UID = "0f5c1a52-0000-4000-8000-000000000001"
ENDED = ("Suspended", "Finished", "Cancelled", "Failed")
DEFAULTS = (Defaults(source=Source.CHART, values={"image": "flowjob:1"}),)


class Died(Exception):
    """The operator, where it was told to."""


@dataclasses.dataclass
class Process:
    """A JobManager's pod. It runs what its job file said when it came up."""

    uid: str
    revision: int
    file: tuple[Revision, Beginning]
    doing: str = "Waiting"
    attempt: int = 0
    restarts: int = 0
    completed: int = 0
    parallelism: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    final: api.Snapshot | None = None
    error: str | None = None
    ready_in: float = 2.0
    operations: dict[str, api.OperationView] = dataclasses.field(default_factory=dict)
    stopping: tuple[str, str] | None = None
    rescaling: tuple[str, int, float] | None = None
    """Id, width, seconds left"""


@dataclasses.dataclass
class Log:
    """Of one place in storage: `run` is the revision that began last, with `source`, when there were `behind` of
    `snapshots`."""

    snapshots: list[api.Snapshot] = dataclasses.field(default_factory=list)
    run: int = 0
    source: str | None = None
    behind: int = 0

    @property
    def newest(self) -> str | None:
        found = self.of_run(self.run)
        return self.source if found is None else found.path

    def of_run(self, run: int) -> api.Snapshot | None:
        """The newest; one that was refused to begin has none."""
        there = run == self.run and len(self.snapshots) > self.behind
        return self.snapshots[-1] if there else None


@dataclasses.dataclass
class Stored:
    """An object of the cluster, as this one knows it."""

    kind: str
    name: str
    uid: str
    revision: int = 0
    replicas: int = 0
    owned: bool = True
    said: Any = None


class World:
    """Knobs are attributes; `violations` is what must not be."""

    def __init__(
        self, spec: dict[str, Any] | None = None, *, uid: str = UID, **metadata: Any
    ) -> None:
        self.now = BEGINNING
        self.ids = itertools.count(1)
        self.uid = uid
        self.job: FlowJob | None = FlowJob(
            metadata=Metadata(
                name="flights",
                namespace="air",
                uid=uid,
                generation=1,
                resource_version="1",
                creation_timestamp=BEGINNING,
                **metadata,
            ),
            spec=FlowJobSpec.of(spec or a_spec()),
        )
        self.defaults = DEFAULTS
        self.objects: dict[tuple[str, str], Stored] = {}
        self.pods: dict[str, Pod] = {}
        self.saved: dict[int, SavedRevision] = {}
        self.processes: dict[str, Process] = {}
        self.preflights: dict[int, tuple[str, datetime, Revision, Beginning]] = {}
        self.preflight_seconds = 300.0
        self.storage_work: list[str] = []
        self.deleted: set[tuple[str, str]] = set()
        self.unfinished: set[str] = set()
        self.storage_jobs: dict[str, tuple[str, datetime, StorageAnswer]] = {}
        self.storage_asked: list[a.StartStorageJob] = []
        self.discarding: set[str] = set()
        self.storage_going: dict[str, datetime] = {}
        self.snapshots: dict[str, FlowSnapshot] = {}
        self.dry_run: DryRunAnswer | None = None
        self.identity: IdentityFacts | None = None
        self.events: list[a.EmitEvent] = []
        self.place = "s3://bucket/flights"
        self.logs: dict[str, Log] = {}
        self.savepoints: dict[str, api.Snapshot] = {}
        self.begun: list[tuple[int, str | None]] = []
        self.claimed = 0
        self.violations: list[str] = []
        self.writes = 0
        self.applied: list[a.ApplyRevision] = []
        self.points = 0
        self.dies_at: set[int] = set()
        # What may go wrong.
        self.bad_images: set[str] = set()
        self.mute_images: set[str] = set()
        self.crashing: set[str] = set()
        self.preflight_problems: dict[str, str] = {}
        self.preflight_code: str | None = None
        self.refusal = ""
        self.dry_run_problems: tuple[str, ...] = ()
        self.capacity = 100
        self.savepoints_fail = False
        self.checkpoints_fail = False
        self.reachable = True
        self.stop_takes = 4.0
        self.dying_takes = 2.0
        self.namespace_terminating = False
        self.crd_going = False
        self.forbidden = False
        self.storage_works = True
        self.storage_takes = 3.0
        self.wiped = False
        self.rescales_fail = False
        self.rescales_take = 0.0
        self.rescales_get_lost = False
        self.cancels_hang = False
        self.refuse_to_begin: set[str] = set()
        self.clock_of_jobmanager = 0.0
        self.source_job: FlowJob | None = None
        self.source_snapshots: dict[str, FlowSnapshot] = {}
        self.settings_fail = False
        self.settings_told: list[api.ChangeSettings] = []
        self.slots_per_subtask = 1

    @property
    def log(self) -> list[api.Snapshot]:
        """Of the place that the job is in."""
        return self._log().snapshots

    @log.setter
    def log(self, snapshots: list[api.Snapshot]) -> None:
        self._log().snapshots = snapshots

    def _log(self) -> Log:
        return self.logs.setdefault(self.place, Log())

    # -- what people do

    def edit(self, **changes: Any) -> None:
        """Paths with __ for dots: `job__parallelism=2`; None takes a field away."""
        assert self.job is not None
        wire = self.job.spec.wire()
        for path, value in changes.items():
            *groups, last = path.split("__")
            group = wire
            for name in groups:
                group = group.setdefault(name, {})
            if value is None:
                group.pop(last, None)
            else:
                group[last] = value
        self._update(spec=FlowJobSpec.of(wire), generation=self.job.metadata.generation + 1)

    def annotate(self, **annotations: str) -> None:
        named = {f"flowjob.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
        self._update(annotations=named)

    def delete(self, *, foreground: bool = False) -> None:
        """In the foreground all that the job owns goes first."""
        if self.job is not None and self.job.metadata.deletion_timestamp is None:
            self._update(deletion_timestamp=self.now)
        if foreground:
            self.saved.clear()
            self._collect_owned()
        self._collect()

    def _update(self, spec: FlowJobSpec | None = None, **metadata: Any) -> None:
        assert self.job is not None
        job = self.job
        version = str(int(job.metadata.resource_version) + 1)
        about = job.metadata.model_copy(update={**metadata, "resource_version": version})
        self.job = job.model_copy(update={"metadata": about, "spec": spec or job.spec})

    # -- what the operator does

    @property
    def status(self) -> FlowJobStatus:
        assert self.job is not None
        return self.job.status

    def observe(self) -> Observed:
        assert self.job is not None
        process = self._leader()
        view: Any = Unreachable(reason="no JobManager answers")
        operations: dict[str, api.OperationView] = {}
        if process is not None and self.reachable:
            view = self._view(process)
            asked = asked_of_job(self.job)
            operations = {k: v for k, v in process.operations.items() if k in asked}
        return Observed(
            now=self.now,
            operator=Operator(owner="flowjob-system/flowjob", version="1"),
            job=self.job,
            defaults=self.defaults,
            children=tuple(self._children()),
            pods=tuple(self.pods.values()),
            revisions=tuple(self.saved.values()),
            jobmanager=view,
            operations=operations,
            snapshots=tuple(self.snapshots.values()),
            source_snapshot=self._source(),
            source_job=self.source_job,
            source_snapshots=tuple(self.source_snapshots.values()),
            preflights=tuple(self._preflight_runs()),
            storage_runs=tuple(self._storage_runs()),
            dry_run=self.dry_run,
            identity=self.identity,
            refusal=self.refusal,
            namespace_terminating=self.namespace_terminating,
            crd_going=self.crd_going,
        )

    def _source(self) -> FlowSnapshot | None:
        wanted = None if self.job is None else self.job.spec.job.restore_from
        return None if wanted is None else self.snapshots.get(wanted.snapshot or "")

    def turn(self) -> a.Outcome | None:
        """One pass over the job, and one over each snapshot. Raises Died where `dies_at` says."""
        if self.job is None:
            self._turn_snapshots()
            return None
        seen = self.observe()
        outcome = reconcile(seen)
        if outcome.status != seen.job.status:
            self._may_die()
            self._write(seen, outcome.status)
        for action in outcome.actions:
            self._may_die()
            self.apply(action)
        self._collect()
        self._turn_snapshots()
        return outcome

    def _may_die(self) -> None:
        self.points += 1
        if self.points in self.dies_at:
            self.dry_run = None  # it was only in its memory
            raise Died

    def _turn_snapshots(self) -> None:
        for name in list(self.snapshots):
            self.turn_snapshot(name)

    def turn_snapshot(self, name: str) -> a.SnapshotOutcome:
        snapshot = self.snapshots[name]
        asked = snapshot.status.operation_id
        process = self._leader()
        operation = None
        if process is not None and self.reachable and asked is not None:
            operation = process.operations.get(asked)
        view: Any = Unreachable(reason="no JobManager answers")
        if process is not None and self.reachable:
            view = self._view(process)
        outcome = reconcile_snapshot(
            SnapshotObserved(
                now=self.now,
                operator=Operator(owner="flowjob-system/flowjob"),
                snapshot=snapshot,
                job=self.job,
                users=() if self.job is None else (self.job,),
                jobmanager=view,
                operation=operation,
                storage_runs=tuple(self._storage_runs()),
                namespace_terminating=self.namespace_terminating,
            ),
            [saved.revision for saved in self.saved.values()],
        )
        status = FlowSnapshotStatus.of(outcome.status.wire())
        self.snapshots[name] = snapshot.model_copy(update={"status": status})
        for action in outcome.actions:
            self._apply_to_snapshot(name, action)
        return outcome

    def _apply_to_snapshot(self, name: str, action: a.Action) -> None:
        snapshot = self.snapshots.get(name)
        if snapshot is None:
            return
        finalizers = set(snapshot.metadata.finalizers)
        if isinstance(action, a.AddFinalizer):
            finalizers.add(action.name)
        elif isinstance(action, a.RemoveFinalizer):
            finalizers.discard(action.name)
        else:
            self.apply(action)
        about = snapshot.metadata.model_copy(update={"finalizers": sorted(finalizers)})
        self.snapshots[name] = snapshot.model_copy(update={"metadata": about})
        if about.deletion_timestamp is not None and not finalizers:
            del self.snapshots[name]

    def _write(self, seen: Observed, status: FlowJobStatus) -> None:
        assert self.job is not None
        if status == seen.job.status:
            return
        assert seen.job.metadata.resource_version == self.job.metadata.resource_version
        # Through the wire, as the API server keeps it.
        self.job = self.job.model_copy(update={"status": FlowJobStatus.of(status.wire())})
        self._update()
        self.writes += 1

    def apply(self, action: a.Action) -> None:
        """As the process layer carries it out."""
        self._judge(action)
        match action:
            case a.SaveRevision():
                self._save(action)
            case a.ApplyRevision():
                self._apply_revision(action)
            case a.Delete():
                self._delete(action)
            case a.DeletePod():
                pod = self.pods.get(action.name)
                if pod is not None and pod.uid == action.uid:
                    self._kill(action.name)
            case a.Ask():
                self._ask(action)
            case a.CreateSnapshot():
                self._create_snapshot(action)
            case a.StartPreflight():
                number = action.revision.number
                made = (self._uid(), self.now, action.revision, action.restore)
                self.preflights.setdefault(number, made)
                self.preflight_seconds = action.deadline
            case a.StartStorageJob():
                self._start_storage_job(action)
            case a.DryRun():
                number = action.revision.number
                generation = action.revision.generation
                problems = self.dry_run_problems
                self.dry_run = DryRunAnswer(
                    revision=number, generation=generation, problems=problems
                )
            case a.EmitEvent():
                if not self.namespace_terminating:
                    self.events.append(action)
            case a.EnsureIdentity():
                self.identity = IdentityFacts(
                    serial=str(next(self.ids)), expires_at=self.now + timedelta(days=365)
                )
            case a.AddFinalizer():
                assert self.job is not None
                self._update(finalizers=[*self.job.metadata.finalizers, action.name])
            case a.RemoveFinalizer():
                assert self.job is not None
                rest = [f for f in self.job.metadata.finalizers if f != action.name]
                self._update(finalizers=rest)

    def _judge(self, action: a.Action) -> None:
        """Nothing is asked or destroyed without being written before."""
        if self.job is None:
            return
        operation = self.status.operation
        if isinstance(action, a.Ask) and not action.id.startswith(self.job.metadata.uid):
            known = {s.status.operation_id for s in self.snapshots.values()}
            if action.id not in known:
                self.violations.append(f"asked without a record: {action}")
        if (
            isinstance(action, a.Ask)
            and isinstance(action.request, api.StopJob | api.CancelJob | api.Rescale)
            and (operation is None or not action.id.startswith(operation.id))
        ):
            self.violations.append(f"asked without a persisted operation: {action}")
        named = action.operation if isinstance(action, a.Delete | a.DeletePod) else ""
        if named and (operation is None or named != operation.id):
            self.violations.append(f"deleted for no persisted operation: {action}")
        made = (a.CreateSnapshot, a.StartPreflight, a.SaveRevision, a.ApplyRevision)
        if self.namespace_terminating and isinstance(action, made):
            self.violations.append(f"made in a namespace that goes: {action}")

    # -- the API server and its controllers

    def _uid(self) -> str:
        return f"uid-{next(self.ids):04}"

    def _save(self, action: a.SaveRevision) -> None:
        revision = Revision.of(action.revision.wire())
        if revision.number in self.saved:
            return
        job = "flights"
        keys = [
            ObjectKey(kind="Deployment", name=f"{job}-jm-{revision.base}"),
            ObjectKey(kind="StatefulSet", name=f"{job}-tm"),
            ObjectKey(kind="Service", name=f"{job}-jm"),
            ObjectKey(kind="ConfigMap", name=f"{job}-file-{revision.base}"),
        ]
        self.saved[revision.number] = SavedRevision(
            revision=revision,
            objects=tuple(keys),
            name=f"{job}-{revision.number}",
            uid=self._uid(),
            created_at=self.now,
        )

    def _apply_revision(self, action: a.ApplyRevision) -> None:
        self.applied.append(action)
        saved = self.saved[action.number]
        revision = saved.revision
        for part in action.parts:
            match part:
                case Part.SHARED:
                    self._put("Service", "flights-jm", 0, None)
                case Part.FILE:
                    name = f"flights-file-{revision.base}"
                    self._put("ConfigMap", name, 0, (revision.number, action.restore))
                case Part.JOB_MANAGER:
                    name = f"flights-jm-{revision.base}"
                    made = self._put("Deployment", name, revision.base, revision)
                    made.replicas, made.owned = 1, action.owned
                case Part.TASK_MANAGERS:
                    made = self._put("StatefulSet", "flights-tm", revision.template, revision)
                    made.replicas, made.owned = action.task_managers, action.owned

    def _put(self, kind: str, name: str, revision: int, said: Any) -> Stored:
        found = self.objects.get((kind, name))
        if found is None:
            found = Stored(kind, name, self._uid())
            self.objects[(kind, name)] = found
        found.revision, found.said = revision, said
        return found

    def _delete(self, action: a.Delete) -> None:
        key = (action.kind, action.name)
        self.deleted.add(key)
        if action.kind == "Job" and action.propagation == "Foreground":
            self.storage_going.setdefault(action.name, self.now)  # its pods go before it
        elif action.kind == "Job":
            self.preflights = {n: p for n, p in self.preflights.items() if p[0] != action.uid}
            self.storage_jobs = {
                name: made
                for name, made in self.storage_jobs.items()
                if (made[0] if action.uid else name) != (action.uid or action.name)
            }
        elif action.kind == "ControllerRevision":
            self.saved = {n: s for n, s in self.saved.items() if s.uid != action.uid}
        elif action.kind == "FlowSnapshot":
            self.delete_snapshot(action.name)
        elif key in self.objects and self.objects[key].uid == action.uid:
            del self.objects[key]

    def delete_snapshot(self, name: str) -> None:
        snapshot = self.snapshots.get(name)
        if snapshot is None:
            return
        if not snapshot.metadata.finalizers:
            del self.snapshots[name]
            return
        about = snapshot.metadata.model_copy(update={"deletion_timestamp": self.now})
        self.snapshots[name] = snapshot.model_copy(update={"metadata": about})

    def _kill(self, name: str) -> None:
        self.pods.pop(name, None)
        self.processes.pop(name, None)

    def _create_snapshot(self, action: a.CreateSnapshot) -> None:
        annotations = {"flowjob.dev/fact": action.fact} if action.fact else {}
        if action.name in self.snapshots or action.name in self.source_snapshots:
            return
        of, other = action.spec.job_ref, self.source_job
        theirs = of is not None and other is not None and of.name == other.metadata.name
        (self.source_snapshots if theirs else self.snapshots).setdefault(
            action.name,
            FlowSnapshot(
                metadata=Metadata(
                    name=action.name,
                    namespace="air",
                    uid=self._uid(),
                    generation=1,
                    creation_timestamp=self.now,
                    labels={"flowjob.dev/made-by": action.made_by},
                    annotations=annotations,
                ),
                spec=action.spec,
            ),
        )

    def _start_storage_job(self, action: a.StartStorageJob) -> None:
        answer = StorageAnswer(done=False, problem="AccessDenied (403)")
        if self.storage_works:
            answer = StorageAnswer(
                done=True, path=action.path or "", kind="Savepoint", checksum="sha256:" + "0" * 64
            )
            if action.command == "dispose" and action.path is None:
                self.discarding.add(action.name)
        made = (self._uid(), self.now, answer)
        self.storage_jobs.setdefault(action.name, made)
        self.storage_work.append(action.command)
        self.storage_asked.append(action)

    def _work_on_storage(self) -> None:
        """Jobs that were deleted do no more."""
        for name, since in list(self.storage_going.items()):
            if (self.now - since).total_seconds() >= self.dying_takes:
                self.storage_jobs.pop(name, None)
                del self.storage_going[name]
        self.discarding &= self.storage_jobs.keys()
        for name in sorted(self.discarding):
            if (self.now - self.storage_jobs[name][1]).total_seconds() >= self.storage_takes:
                self.log = []
                self.discarding.discard(name)

    def _collect(self) -> None:
        """Of an object that goes and has no finalizer left; and of what it owns."""
        job = self.job
        if job is None or job.metadata.deletion_timestamp is None or job.metadata.finalizers:
            return
        self.job = None
        self._collect_owned()

    def _collect_owned(self) -> None:
        for key, stored in list(self.objects.items()):
            if stored.owned:
                del self.objects[key]
        self._controllers()

    def _controllers(self) -> None:
        """Deployments and sets make and take pods."""
        wanted: dict[str, tuple[str, int, Stored]] = {}
        for stored in self.objects.values():
            if stored.kind == "Deployment":
                wanted[f"{stored.name}-0"] = (JOB_MANAGER, stored.revision, stored)
            if stored.kind == "StatefulSet":
                for ordinal in range(stored.replicas):
                    wanted[f"{stored.name}-{ordinal}"] = (TASK_MANAGER, stored.revision, stored)
        for name, pod in list(self.pods.items()):
            since = pod.deleting_since
            if since is not None and (self.now - since).total_seconds() >= self.dying_takes:
                self._kill(name)
            elif name not in wanted and pod.component == JOB_MANAGER:
                self.pods[name] = dataclasses.replace(pod, deleting_since=since or self.now)
            elif name not in wanted:
                self._kill(name)
        for name, (component, revision, stored) in wanted.items():
            if name in self.pods:
                continue
            spec = stored.said.spec
            bad = spec.image in self.bad_images
            ordinal = int(name.rsplit("-", 1)[1])
            room = component == JOB_MANAGER or ordinal < self.capacity
            ready = not bad and room
            self.pods[name] = Pod(
                name=name,
                uid=self._uid(),
                component=component,
                revision=revision,
                phase="Running" if ready else "Pending",
                ready=ready,
                unschedulable="" if room else "0/3 nodes are available: 3 Insufficient memory",
            )

    # -- time, and the JobManager

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._controllers()
        self._work_on_storage()
        for name, pod in self.pods.items():
            file = self.objects.get(("ConfigMap", f"flights-file-{pod.revision}"))
            ready = pod.component == JOB_MANAGER and pod.ready and file is not None
            if ready and file is not None and name not in self.processes:
                number, restore = file.said
                if number in self.saved:
                    said = (self.saved[number].revision, restore)
                    self.processes[name] = Process(uid=pod.uid, revision=pod.revision, file=said)
        alive = {p.revision for p in self.processes.values() if p.doing not in ENDED}
        if len(alive) > 1:
            self.violations.append(f"two revisions run: {sorted(alive)}")
        for name in list(self.processes):
            self._run(name, seconds)

    def _leader(self) -> Process | None:
        found = sorted(self.processes.values(), key=lambda p: -p.revision)
        return found[0] if found else None

    def _slots(self) -> int:
        """That TaskManagers offer."""
        there = self.objects.get(("StatefulSet", "flights-tm"))
        slots = 1 if there is None else there.said.spec.task_manager.slots or 1
        return slots * sum(p.ready for p in self.pods.values() if p.component == TASK_MANAGER)

    def _run(self, name: str, seconds: float) -> None:
        process = self.processes[name]
        if process.doing in ENDED:
            return
        if process.doing in ("Waiting", "Restarting"):
            process.ready_in -= seconds
            if process.ready_in <= 0:
                self._start(process)
            return
        revision, _ = process.file
        if revision.spec.image in self.crashing and process.stopping is None:
            process.restarts += 1
            process.error = "ValueError: no such column `delay` (flights.py, line 12)"
            process.doing, process.ready_in = "Restarting", 2.0
            return
        self._rescale(process, seconds)
        if self._slots() < process.parallelism:
            process.doing, process.ready_in = "Restarting", 2.0
            return
        if process.stopping is not None:
            self.stop_left -= seconds
            if self.stop_left <= 0:
                self._stop(process)
            return
        if revision.spec.checkpoints.interval != "Off" and not self.checkpoints_fail:
            process.completed += 1
            self._commit("Checkpoint", f"checkpoints/{len(self.log) + 1}")

    def _rescale(self, process: Process, seconds: float) -> None:
        """What takes its time; whether somebody still waits for it is not known here."""
        if process.rescaling is None:
            return
        id, width, left = process.rescaling
        process.rescaling = (id, width, left - seconds)
        if left > seconds:
            return
        process.rescaling = None
        process.parallelism, process.attempt = width, process.attempt + 1
        process.operations[id] = api.OperationView(id=id, state="Done")

    def _start(self, process: Process) -> None:
        """Claims the log, and resolves what it was told, as a JobManager does."""
        if process.revision < self.claimed:
            process.doing, process.error = "Failed", "a newer revision has claimed the job"
            return
        self.claimed = process.revision
        revision, restore = process.file
        self.place = revision.spec.checkpoints.storage or "s3://bucket/flights"
        self.place += f"/{revision.prefix}" if revision.prefix else ""
        width = process.parallelism or revision.spec.job.parallelism or 1
        if self._slots() < width:
            process.doing, process.ready_in = "Waiting", 1.0
            return
        if self._log().run != process.revision and not self._resolve(process, restore):
            return
        process.doing = "Running"
        process.attempt += 1
        process.parallelism = width
        process.started_at = process.started_at or self.now

    def _resolve(self, process: Process, restore: Beginning) -> bool:
        log, expected = self._log(), restore.expected
        mode = restore.mode
        if process.file[0].spec.image in self.refuse_to_begin:
            process.doing, process.error = "Failed", "its state does not fit the program"
            return False
        if mode != "Latest" and log.run and log.run >= restore.since > 0:
            mode = "Latest"
        if mode == "Latest":
            begun = log.newest
            if begun is None and expected is not None:
                if expected not in [s.path for each in self.logs.values() for s in each.snapshots]:
                    process.doing = "Failed"
                    process.error = f"{expected} was complete, and is not there any more"
                    return False
                begun = expected  # of another place
        elif mode == "Snapshot":
            begun = restore.path
        else:
            begun = None
            self.wiped = True
        places = [log] if self.wiped else list(self.logs.values())
        if begun is None and mode != "Empty" and any(each.snapshots for each in places):
            self.violations.append("began with nothing, and there was something")
        self.begun.append((process.revision, begun))
        log.run, log.source, log.behind = process.revision, begun, len(log.snapshots)
        return True

    def _commit(self, kind: Any, where: str) -> api.Snapshot:
        clock = self.now + timedelta(seconds=self.clock_of_jobmanager)
        made = api.Snapshot(
            type=kind,
            id=len(self.log) + 1,
            path=f"{self.place}/{where}",
            checksum="sha256:" + "0" * 64,
            completed_at=clock.isoformat(),
            size=1000,
        )
        self.log.append(made)
        return made

    def _stop(self, process: Process) -> None:
        assert process.stopping is not None
        id, name = process.stopping
        process.stopping = None
        if (error := self._savepoint_error(name)) is not None:
            process.doing = "Running"
            process.operations[id] = api.OperationView(id=id, state="Failed", error=error)
            return
        if name not in self.savepoints:
            self.savepoints[name] = self._commit("Savepoint", f"savepoints/{name}")
        process.final = self.savepoints[name]
        process.doing, process.ended_at = "Suspended", self.now
        process.operations[id] = api.OperationView(id=id, state="Done", snapshot=process.final)

    def _savepoint_error(self, name: str) -> str | None:
        """Objects of one that failed stay in its directory, and keep another one out of it."""
        if name in self.unfinished:
            return f"an unfinished savepoint has left objects in {name}"
        if not self.savepoints_fail:
            return None
        self.unfinished.add(name)
        return "disk is full"

    def _ask(self, action: a.Ask) -> None:
        process = self._leader()
        if process is None or not self.reachable or action.id in process.operations:
            return
        request, id = action.request, action.id
        done = api.OperationView(id=id, state="Done")
        match request:
            case api.StopJob() if process.doing == "Running":
                process.doing, process.stopping = "Stopping", (id, request.name)
                self.stop_left = self.stop_takes
                done = api.OperationView(id=id, state="UnderWay")
            case api.CancelJob() if self.cancels_hang:
                done = api.OperationView(id=id, state="UnderWay")
            case api.Rescale() if self.rescales_get_lost:
                return
            case api.Rescale() if self.rescales_take > 0 and process.doing == "Running":
                process.rescaling = (id, request.parallelism, self.rescales_take)
                done = api.OperationView(id=id, state="UnderWay")
            case api.CancelJob() if process.doing not in ENDED:
                process.doing, process.ended_at = "Cancelled", self.now
                if request.discard:
                    self.log = []
            case api.Rescale() if process.doing == "Running" and not self.rescales_fail:
                process.parallelism = request.parallelism
                process.attempt += 1
            case api.TakeSavepoint() if process.doing == "Running":
                if (error := self._savepoint_error(request.name)) is not None:
                    done = api.OperationView(id=id, state="Failed", error=error)
                else:
                    if request.name not in self.savepoints:
                        made = self._commit("Savepoint", f"savepoints/{request.name}")
                        self.savepoints[request.name] = made
                    done = api.OperationView(
                        id=id, state="Done", snapshot=self.savepoints[request.name]
                    )
            case api.TakeCheckpoint() if process.doing == "Running":
                made = self._commit("Checkpoint", f"checkpoints/{len(self.log) + 1}")
                done = api.OperationView(id=id, state="Done", snapshot=made)
            case api.ChangeSettings() if not self.settings_fail:
                self.settings_told.append(request)
            case _:
                done = api.OperationView(id=id, state="Failed", error="the job does not run")
        process.operations[id] = done

    # -- what is seen of it

    def _view(self, process: Process) -> api.JobManagerView:
        revision, _ = process.file
        ready = sum(p.ready for p in self.pods.values() if p.component == TASK_MANAGER)
        return api.JobManagerView(
            uid=self.uid,
            revision=process.revision,
            state=process.doing,  # type: ignore[arg-type]
            attempt=process.attempt,
            restarts=process.restarts,
            parallelism=process.parallelism or (revision.spec.job.parallelism or 1),
            max_parallelism=128,
            started_at=None if process.started_at is None else process.started_at.isoformat(),
            ended_at=None if process.ended_at is None else process.ended_at.isoformat(),
            error=process.error,
            slots=api.Slots(
                needed=process.parallelism * self.slots_per_subtask,
                offered=self._slots(),
                task_managers=ready,
            ),
            checkpoints=api.Checkpointing(
                latest=self._log().of_run(process.revision), completed=process.completed
            ),
            final=process.final,
        )

    def _children(self) -> list[Child]:
        assert self.job is not None
        revisions = self.status.revisions
        current = None if revisions is None else revisions.current
        return [
            Child(
                kind=s.kind,
                name=s.name,
                uid=s.uid,
                revision=s.revision,
                owned=s.owned,
                replicas=s.replicas,
                changed=s.kind == "ConfigMap" and current is not None and s.said[0] != current,
            )
            for s in self.objects.values()
        ]

    def _preflight_runs(self) -> list[PreflightRun]:
        found = []
        for number, (uid, made, revision, _) in self.preflights.items():
            image = revision.spec.image or ""
            mute = image in self.mute_images
            seconds = (self.now - made).total_seconds()
            pulled = image not in self.bad_images
            over = seconds >= (3 if pulled else self.preflight_seconds)
            problem = self.preflight_problems.get(image)
            slots = revision.spec.job.parallelism or 1
            answer = PreflightAnswer(
                accepted=problem is None,
                problems=() if problem is None else (problem,),
                error_code=None if problem is None else self.preflight_code,
                slots={"default": slots},
                digest="a" * 64,
            )
            found.append(
                PreflightRun(
                    name=f"flights-preflight-{number}",
                    uid=uid,
                    revision=number,
                    created_at=made,
                    finished=over,
                    answer=answer if over and pulled and not mute else None,
                    pods=() if pulled else self._not_pulled(number, image, over),
                )
            )
        return found

    def _not_pulled(self, number: int, image: str, over: bool) -> tuple[Pod, ...]:
        """Past its time a Job deletes what does not run, and its kubelet has never seen a container."""
        waits = Container(name="flowjob", image=image, waiting="ErrImagePull")
        ends = Container(name="flowjob", image=image, ended="ContainerStatusUnknown", exit_code=137)
        name = f"flights-preflight-{number}"
        pod = Pod(
            name=name,
            uid=name,
            component="preflight",
            containers=(ends if over else waits,),
            deleting_since=self.now if over else None,
        )
        return (pod,)

    def _storage_runs(self) -> list[StorageRun]:
        found = []
        for name, (uid, made, answer) in self.storage_jobs.items():
            over = (self.now - made).total_seconds() >= self.storage_takes
            phase = "Succeeded" if over else "Running"
            found.append(
                StorageRun(
                    name=name,
                    uid=uid,
                    created_at=made,
                    finished=over,
                    answer=answer if over else None,
                    pods=(Pod(name=name, uid=uid, component="storage", phase=phase),),
                )
            )
        return found

    # -- for tests

    def settle(self, seconds: float = 120.0, step: float = 1.0) -> World:
        """Passes of the operator, one a second, for a while."""
        for _ in range(int(seconds / step)):
            with contextlib.suppress(Died):
                self.turn()
            self.pass_time(step)
            assert not self.violations, self.violations
        return self

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(c for c in self.status.conditions if c.type == kind)
        return found.status.value, found.reason

    def told(self, reason: str) -> list[str]:
        return [event.message for event in self.events if event.reason == reason]


def a_spec(**changes: Any) -> dict[str, Any]:
    """Of a job with state. Paths with __ for dots."""
    spec: dict[str, Any] = {
        "job": {"entrypoint": "flights:job", "parallelism": 2},
        "checkpoints": {"storage": "s3://bucket/flights", "interval": "1s"},
    }
    for path, value in changes.items():
        *groups, last = path.split("__")
        group = spec
        for name in groups:
            group = group.setdefault(name, {})
        if value is None:
            del group[last]
        else:
            group[last] = value
    return spec
