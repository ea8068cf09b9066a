"""Carries a scenario's faults out: at its time each one finds a victim that is there, and strikes.

It acts on processes, connections and hosts of the world; it must not know jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from flowjob.testing.simulation.cluster import SimTaskManager
from flowjob.testing.simulation.control import MessageConnection
from flowjob.testing.simulation.process import SimProcess
from flowjob.testing.simulation.scenario import Fault, FaultKind
from flowjob.testing.simulation.transports import SimTransport
from flowjob.testing.simulation.world import World

T = TypeVar("T")


def arm(world: World, faults: Sequence[Fault]) -> None:
    """Makes them happen in time."""
    for fault in faults:
        world.loop.post_at(fault.at, world.loop.world, _strike, world, fault)


def _strike(world: World, fault: Fault) -> None:
    living = [p for p in world.processes if p.status is None and p.steps]
    slots = [p for p in living if p.name.startswith("slot")]
    taskmanagers = [p for p in living if isinstance(p, SimTaskManager)]
    match fault.kind:
        case FaultKind.KILL_SLOT:
            _kill(fault, slots)
        case FaultKind.KILL_TASKMANAGER:
            _kill(fault, taskmanagers)
        case FaultKind.KILL_JOBMANAGER:
            _kill(fault, [p for p in living if p.parent is None])
        case FaultKind.PAUSE:
            victim = _chosen(fault, living)
            if victim is not None:
                world.note(victim.name, f"is stopped for {fault.lasts:.3f} s")
                world.loop.keep_busy(victim, fault.lasts)
        case FaultKind.CUT:
            _cut(world, fault)
        case FaultKind.RESET:
            connections = [h for p in living for h in p.handles if isinstance(h, SimTransport)] + [
                h
                for p in living
                for h in p.handles
                if isinstance(h, MessageConnection) and not h.local
            ]
            connection = _chosen(fault, connections)
            if connection is not None:
                world.note("network", f"resets a connection of {connection.process.name}")
                world.loop.post(connection.process, connection.break_down)
        case FaultKind.WALL_JUMP:
            victim = _chosen(fault, living)
            if victim is not None:
                by = int((fault.lasts - 20.0) * 1e6)
                world.note(victim.name, f"has its wall clock set by {by / 1e6:.3f} s")
                victim.wall_offset += by


def _chosen(fault: Fault, among: Sequence[T]) -> T | None:
    return among[int(fault.pick * len(among))] if among else None


def _kill(fault: Fault, among: Sequence[SimProcess]) -> None:
    """At the next callback or some later one: any await of the process may be its last."""
    victim = _chosen(fault, among)
    if victim is not None:
        victim.stop_at = victim.steps + 1 + fault.steps


def _cut(world: World, fault: Fault) -> None:
    hosts = sorted({p.host for p in world.processes})
    pairs = [(a, b) for i, a in enumerate(hosts) for b in hosts[i + 1 :]]
    pair = _chosen(fault, pairs)
    if pair is not None:
        world.cut(*pair)
        now = world.loop.now
        world.loop.post_at(now + fault.lasts, world.loop.world, _heal, world, pair, fault)


def _heal(world: World, pair: tuple[str, str], fault: Fault) -> None:
    """After a long time TCP may have given up: what still waits is lost, and both ends hear of it."""
    if fault.lasts > 1.0 and fault.steps % 2:
        for link in list(world.holding):
            link.break_down(pair)
    world.heal(*pair)
