"""Who is to look again at what, where the answer to a request comes before the watch tells of it, as it does."""

from __future__ import annotations

import asyncio
from typing import Any

from flowjob_operator.process.cluster.kinds import FLOWJOBS, FLOWSNAPSHOTS
from flowjob_operator.process.cluster.mirror import Mirror, Missing
from flowjob_operator.process.cluster.surveying import Canary
from flowjob_operator.process.looks.reconciling import Key
from flowjob_operator.process.looks.routing import Routing
from tests.operator.process.harness import play
from tests.operator.process.world import VirtualClock

JOB = Key("FlowJob", "shop", "orders")
SNAPSHOT = Key("FlowSnapshot", "shop", "orders-s1")


def snapshot(version: int, **more: Any) -> dict[str, Any]:
    about = {"namespace": "shop", "name": "orders-s1", "uid": "s", "resourceVersion": str(version)}
    spec = {"jobRef": {"name": "orders"}}
    return {**FLOWSNAPSHOTS_TYPE, "metadata": about, "spec": spec, **more}


FLOWSNAPSHOTS_TYPE = {"apiVersion": FLOWSNAPSHOTS.api_version, "kind": FLOWSNAPSHOTS.kind}


class Routed:
    def __init__(self) -> None:
        self.mirror = Mirror()
        self.added: list[Key] = []
        self.routing = Routing(
            self.mirror, Canary(VirtualClock()), lambda key, _: self.added.append(key)
        )
        about = {"namespace": "shop", "name": "orders", "uid": "j", "resourceVersion": "1"}
        self.mirror.note(FLOWJOBS, {"metadata": about})

    def writes(self, found: dict[str, Any]) -> list[Key]:
        """Keys that are to be looked at, once the request is answered and the watch has told it."""
        self.added.clear()
        self.mirror.note(FLOWSNAPSHOTS, found)
        self.routing.written(found)
        self.routing.watched(FLOWSNAPSHOTS, "MODIFIED", found)
        return sorted(self.added, key=str)


def test_a_snapshot_that_the_look_at_a_job_has_made_is_looked_at() -> None:
    async def scenario() -> None:
        assert SNAPSHOT in Routed().writes(snapshot(2))

    play(scenario)


def test_a_status_of_a_snapshot_is_looked_at_by_its_job_and_not_by_the_snapshot_again() -> None:
    async def scenario() -> None:
        routed = Routed()
        routed.writes(snapshot(2))
        assert routed.writes(snapshot(3, status={"phase": "Completed"})) == [JOB]

    play(scenario)


def test_of_what_has_ended_before_its_last_change_was_answered_no_watch_is_expected_to_tell() -> (
    None
):
    async def scenario() -> None:
        canary = Canary(VirtualClock())
        canary.gone(FLOWSNAPSHOTS.kind, "s")
        canary.expect(snapshot(4))
        await asyncio.sleep(100)
        assert canary.silent_for() == 0.0

    play(scenario)


def test_of_what_a_list_shows_to_be_gone_no_watch_is_expected_to_tell() -> None:
    async def scenario() -> None:
        canary, added = Canary(VirtualClock()), list[Key]()
        routing = Routing(Mirror(), canary, lambda key, _: added.append(key))
        canary.expect(snapshot(4))
        routing.lost(FLOWSNAPSHOTS, Missing("shop", "orders-s1", "s", "orders"))
        await asyncio.sleep(100)
        assert canary.silent_for() == 0.0
        assert SNAPSHOT in added

    play(scenario)
