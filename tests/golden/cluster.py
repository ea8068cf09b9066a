"""One simulated cluster in which a job lives several lives: killed as a whole, started again at another parallelism.

JobManager, TaskManagers, slots, storage and messages are those of testing/simulation/; time and the wall clock go on
from life to life, and so does what sinks have committed. It must not know any job, nor what is right."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import flowjob as fj
from flowjob.core.job_machine import JobState
from flowjob.errors import FlowjobError
from flowjob.runtime.checkpoint.manifest import Manifest
from flowjob.runtime.env import StoreLocation
from flowjob.runtime.job_description import EntrypointSource
from flowjob.runtime.jobmanager.asking import ask, read_whereabouts
from flowjob.runtime.jobmanager.manager import JobManager
from flowjob.runtime.jobmanager.request import LATEST, JobResult, Listeners
from flowjob.runtime.messages import Ask
from flowjob.runtime.minicluster import LocalOptions, MiniCluster, job_request
from flowjob.runtime.storage.memory import MemoryObjects, MemoryStore
from flowjob.runtime.storage.object_store import ObjectInfo
from flowjob.testing.simulation.cluster import SimLauncher
from flowjob.testing.simulation.env import START, make_env
from flowjob.testing.simulation.ledger import Ledger
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.run import garbage_kept
from flowjob.testing.simulation.world import Physics, World
from tests.golden.golden import Which, build

PLACE = "memory://golden"

PHYSICS = Physics(latency=0.0001, jitter=1.0, cpu=0.0004, crumbs=0.0, blocking=0.0001, coarse=False)
"""Computing takes long beside waiting, so that snapshots are quick compared with the job."""

SAVED = "saved"
"""In place of a snapshot's place: the savepoint of an earlier life."""

UNTIL, STEPS = 4000.0, 2_000_000
"""Virtual seconds and steps after which a world is stuck."""


@dataclass(frozen=True)
class Mode:
    """How snapshots are taken: as in fj.Checkpoints. `pause`, `slow`: seconds that a source
    takes for a read, and a sink for a batch, on average. `exchange`: bytes that may be on their way; 0: as ever.
    `twice`: at least once, so that what is read again may count again."""

    unaligned: str = "never"
    interval: float = 0.01
    spill_bytes: int = 0
    batch_rows: int = 7
    max_concurrent: int = 1
    pause: float = 0.002
    slow: float = 0.0
    exchange: int = 0
    twice: bool = False

    def exchange_options(self) -> dict[str, float]:
        """See RunOptions."""
        little = {"receive_budget": 2 * self.exchange, "exclusive_bytes": self.exchange}
        return {"flush_interval": 0.0, **(little if self.exchange else {})}

    def checkpoints(self) -> fj.Checkpoints:
        return fj.Checkpoints(
            location=PLACE,
            mode="at_least_once" if self.twice else "exactly_once",
            interval=timedelta(seconds=self.interval),
            min_pause=timedelta(0),
            timeout=timedelta(seconds=30),
            unaligned=self.unaligned,  # type: ignore[arg-type]
            alignment_timeout=timedelta(milliseconds=1),
            spill_bytes=self.spill_bytes,
            max_concurrent=self.max_concurrent,
            retained=2,
            restarts=fj.NoRestart(),
        )


@dataclass(frozen=True)
class Life:
    """One run of the job.

    parallelism  of the job
    killed       after so many snapshots of this life have been committed everything dies; 0: after all of it runs;
                 None: it runs to its end
    delay        virtual seconds from then to the end
    savepoint    asks for one when it would be killed, and is killed when it has it; `stop`: the job ends with it
    since        what it begins from: a snapshot's place, LATEST, SAVED, or None: nothing
    """

    parallelism: int
    killed: int | None = None
    delay: float = 0.004
    savepoint: str | None = None
    stop: bool = False
    since: str | None = LATEST


@dataclass
class Lived:
    """What came of a life. `began`: the manifest it was restored from; `commits`: of this life."""

    life: Life
    began: Manifest | None = None
    commits: int = 0
    result: JobResult | None = None
    error: FlowjobError | None = None
    place: str | None = None
    complaints: list[str] = field(default_factory=list)


class Cluster:
    """See above. Its job is a golden one."""

    def __init__(self, which: Which, mode: Mode) -> None:
        self._which = which
        self._mode = mode
        self.objects = MemoryObjects()
        self._lives = 0
        self._saved: str | None = None
        self._on_commit: Callable[[], None] = lambda: None
        self.ledger = Ledger()

    @classmethod
    @contextmanager
    def founded(cls, which: Which, mode: Mode, seed: int = 1) -> Iterator[Cluster]:
        """A cluster, and its end."""
        cluster = cls(which, mode)
        with tempfile.TemporaryDirectory(prefix="flowjob-golden-") as directory, garbage_kept():
            cluster.base = Path(directory)
            cluster.world = World(seed, cluster.base, PHYSICS)
            cluster.world.ledger = cluster.ledger
            try:
                yield cluster
            finally:
                cluster.world.end()
                del cluster.world  # so that nothing holds what killed processes have left

    base: Path
    world: World

    def live(self, life: Life) -> Lived:
        """Runs one life to its end or its death."""
        self._lives += 1
        self.world.directory = self.base / f"life-{self._lives}"
        self.world.directory.mkdir()
        lived = Lived(life)
        self.world.inside(self._live, life, lived)
        lived.complaints = self.world.complaints
        self.world.complaints = []
        self._saved = lived.place or self._saved
        return lived

    # -- inside the world

    def _live(self, life: Life, lived: Lived) -> None:
        world = self.world
        client = world.add_process(f"jm{self._lives}", "host-0")
        wanted = asyncio.Event()

        def committed() -> None:
            lived.commits += 1
            if lived.commits == life.killed:
                if life.savepoint is not None:
                    world.loop.post_at(world.loop.now + life.delay, client, wanted.set)
                else:
                    world.loop.post_at(world.loop.now + life.delay, world.loop.world, self.kill)

        self._on_commit = committed
        client.start(lambda: self._client(client, life, lived, wanted))
        world.run(world.is_over, until=world.loop.now + UNTIL, max_steps=world.loop.steps + STEPS)

    def kill(self) -> None:
        """Everything dies at once."""
        for process in list(self.world.processes):
            process.kill()

    async def _client(
        self, process: SimProcess, life: Life, lived: Lived, wanted: asyncio.Event
    ) -> int:
        world = self.world
        directory = world.directory / "jm"
        directory.mkdir()
        launcher = SimLauncher(world, process, self._open)
        env = make_env(world, process, directory, launcher, self._open)
        options = LocalOptions(
            source=EntrypointSource(target="tests.golden.golden:build", args=asdict(self._which)),
            checkpoints=self._mode.checkpoints(),
            start=self._saved if life.since == SAVED else life.since,
            run={
                "batch_rows": self._mode.batch_rows,
                "checked": True,
                "exchange": self._mode.exchange_options(),
            },
        )
        request = job_request(
            build(self._which),
            life.parallelism,
            env.random.token()[:8],
            env.random.token(),
            options,
        )
        request = replace(request, control_file=self.base / "running.json")
        slots = max(v.parallelism for v in request.graph.vertices)
        cluster = MiniCluster(env, taskmanagers=min(2, slots), slots=-(-slots // min(2, slots)))
        manager = JobManager(
            env, request, Listeners(on_state=lambda state: self._note(manager, lived, state))
        )
        asking = None
        if life.savepoint is not None:
            asking = asyncio.ensure_future(self._save(env, life, lived, wanted))
        try:
            lived.result = await manager.run(cluster)
        except FlowjobError as error:
            lived.error = error
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        return 0

    def _note(self, manager: JobManager, lived: Lived, state: JobState) -> None:
        lead = manager.tenure.held
        lived.began = None if lead is None or lead.initial is None else lead.initial.manifest
        if state is JobState.RUNNING and lived.life.killed == 0:
            loop = self.world.loop
            loop.post_at(loop.now + lived.life.delay, loop.world, self.kill)

    async def _save(self, env: Any, life: Life, lived: Lived, wanted: asyncio.Event) -> None:
        await wanted.wait()
        where = read_whereabouts(self.base / "running.json")
        assert where is not None
        wish = Ask(what="stop" if life.stop else "savepoint", savepoint=life.savepoint)
        answer = await ask(env.control, where, wish, deadline=5.0)
        lived.place = answer.place
        if answer.failure is not None:
            lived.complaints.append(answer.failure)
        if not life.stop:
            self.world.loop.post(self.world.loop.world, self.kill)

    def _open(self, location: StoreLocation) -> MemoryStore:
        now = lambda: START + round(self.world.loop.time() * 1e6)
        return _Store(self.objects, now=now, faults=_Watched(self), url=location.url)

    def saw(self, name: str) -> None:
        """An object was created; is it a commit?"""
        record = self.objects.found[name].data.partition(b'"summary"')[0]
        if "/log/" in name and b'"commit"' in record:
            self._on_commit()


class _Store(MemoryStore):
    """One server for all; a URL below PLACE is a directory of it, for reading."""

    async def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        return await super().get(self._below(name), start, length)

    async def head(self, name: str) -> ObjectInfo | None:
        return await super().head(self._below(name))

    def _below(self, name: str) -> str:
        return f"{self.url.removeprefix(PLACE)}/{name}".lstrip("/")


class _Watched:
    """See memory.StoreFaults: a store of some speed, in which commits are seen."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def before(self, operation: str, name: str) -> None:
        await asyncio.sleep(0.0001)

    async def after(self, operation: str, name: str) -> None:
        if operation == "create":
            self._cluster.saw(name)
        await asyncio.sleep(0.0001)

    def unseen(self, prefix: str) -> int:
        return 0
