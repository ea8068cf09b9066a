"""Carries a scenario's faults out: at its time each one finds a victim that is there, and strikes.

It acts on processes, connections and hosts of the world; it must not know jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from flowjob.testing.simulation.cluster import SimTaskManager
from flowjob.testing.simulation.control import MessageConnection
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.scenario import Fault, FaultKind, Phase
from flowjob.testing.simulation.transports import SimTransport
from flowjob.testing.simulation.world import World

T = TypeVar("T")


def arm(world: World, faults: Sequence[Fault], phase: Phase, life: int) -> None:
    """This phase of that life has begun: makes its faults happen in time."""
    for fault in faults:
        if fault.phase is phase and fault.life == life:
            at = world.loop.time() + fault.at
            world.loop.post_at(at, world.loop.world, _strike, world, fault)


def _strike(world: World, fault: Fault) -> None:
    living = [p for p in world.processes if p.status is None and p.steps]
    match fault.kind:
        case FaultKind.CUT:
            _cut(world, fault)
        case FaultKind.RESET:
            _reset(world, fault, living)
        case FaultKind.DAMAGE:
            world.storage.damage_newest(fault.pick)
            _strike(world, replace(fault, kind=FaultKind.KILL_SLOT))  # so that it is read
        case _:
            victim = _chosen(fault, [p for p in living if _may_be(fault.kind, p)])
            if victim is not None:
                world.count("struck")
                _strike_process(world, fault, victim)


def _may_be(kind: FaultKind, process: SimProcess) -> bool:
    """Whether it may be the victim."""
    match kind:
        case FaultKind.KILL_SLOT:
            return process.name.startswith("slot")
        case FaultKind.KILL_TASKMANAGER:
            return isinstance(process, SimTaskManager)
        case FaultKind.KILL_JOBMANAGER | FaultKind.PAUSE_JOBMANAGER | FaultKind.LEAVE:
            return process.name.startswith("jm")
        case _:
            return True


def _strike_process(world: World, fault: Fault, victim: SimProcess) -> None:
    match fault.kind:
        case FaultKind.LEAVE:
            world.note(victim.name, "is told to leave")
            world.loop.post(victim, victim.terminated)
        case FaultKind.PAUSE | FaultKind.PAUSE_JOBMANAGER:
            world.note(victim.name, f"is stopped for {fault.lasts:.3f} s")
            world.loop.keep_busy(victim, fault.lasts)
        case FaultKind.WALL_JUMP:
            by = int((fault.lasts - 20.0) * 1e6)
            world.note(victim.name, f"has its wall clock set by {by / 1e6:.3f} s")
            victim.wall_offset += by
        case _:
            # At the next callback or some later one: any await may be the last. Slots have many more of them.
            many = victim.name.startswith("slot")
            victim.stop_at = victim.steps + 1 + (fault.steps if many else fault.steps // 20)


def _reset(world: World, fault: Fault, living: Sequence[SimProcess]) -> None:
    handles = [h for p in living for h in p.handles]
    connections: list[SimTransport | MessageConnection] = [
        h for h in handles if isinstance(h, SimTransport)
    ]
    connections += [h for h in handles if isinstance(h, MessageConnection) and not h.local]
    connection = _chosen(fault, connections)
    if connection is not None:
        world.count("struck")
        world.note("network", f"resets a connection of {connection.process.name}")
        world.loop.post(connection.process, connection.break_down)


def _chosen(fault: Fault, among: Sequence[T]) -> T | None:
    return among[int(fault.pick * len(among))] if among else None


def _cut(world: World, fault: Fault) -> None:
    hosts = sorted({p.host for p in world.processes})
    pairs = [(a, b) for i, a in enumerate(hosts) for b in hosts[i + 1 :]]
    pair = _chosen(fault, pairs)
    if pair is not None:
        world.count("struck")
        world.cut(*pair)
        now = world.loop.now
        world.loop.post_at(now + fault.lasts, world.loop.world, _heal, world, pair, fault)


def _heal(world: World, pair: tuple[str, str], fault: Fault) -> None:
    """After a long time TCP may have given up: what still waits is lost, and both ends hear of it."""
    if fault.lasts > 1.0 and fault.steps % 2:
        for link in list(world.holding):
            link.break_down(pair)
    world.heal(*pair)
