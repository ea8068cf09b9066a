"""What GitOps tools say of our objects: Argo CD by the scripts that we ship, others by the rules of kstatus.

Argo CD runs Lua 5.1 with the base and table libraries alone: so do these tests."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import lupa.lua51
import pytest
import yaml

from charts.generating.__main__ import ARGOCD, SCRIPTS
from flowjob_operator.resources.conditions import ConditionType, Truth
from flowjob_operator.resources.flowjob_status import FlowJobStatus, Phase
from flowjob_operator.resources.flowsnapshot import FlowSnapshotStatus, SnapshotPhase
from flowjob_operator.resources.kinds import FLOWJOB, FLOWSNAPSHOT
from tests.chart.kstatus import kstatus

ROOT = Path(__file__).parent.parent.parent
WITHOUT = ("string", "io", "os", "math", "debug", "package", "require", "dofile", "loadfile")
SINCE = "2026-11-21T18:00:00Z"

Object = dict[str, Any]


@functools.cache
def script(kind: str) -> str:
    return (ROOT / ARGOCD / SCRIPTS[kind]).read_text()


def argocd(wire: Object, kind: str = "FlowJob") -> tuple[str, str]:
    """Health and message."""
    lua = lupa.lua51.LuaRuntime()
    for name in WITHOUT:
        lua.globals()[name] = None
    lua.execute('getmetatable("").__index = nil')
    lua.globals().obj = lua.table_from(wire, recursive=True)
    found = lua.execute(script(kind))
    return str(found["status"]), str(found["message"])


def job(phase: Phase, *conditions: str, generation: int = 3, **status: Any) -> Object:
    """`conditions` as `Ready`, `!Ready`, `?Ready` or `Ready:Reason: a message`."""
    made = FlowJobStatus.of(
        {
            "observedGeneration": 3,
            "phase": phase.value,
            "conditions": [condition(text) for text in conditions],
            **status,
        }
    )
    return {"metadata": {"name": "flights", "generation": generation}, "status": made.wire()}


def condition(text: str) -> Object:
    name, _, rest = text.lstrip("!?").partition(":")
    reason, _, message = rest.partition(": ")
    truth = {"!": Truth.FALSE, "?": Truth.UNKNOWN}.get(text[0], Truth.TRUE)
    return {
        "type": ConditionType(name).value,
        "status": truth.value,
        "reason": reason or "Said",
        "message": message,
        "lastTransitionTime": SINCE,
    }


P = Phase
NOT_SEEN = {"metadata": {"name": "flights", "generation": 1}}
GOING: Object = {**job(P.DELETING), "metadata": {"name": "a", "deletionTimestamp": SINCE}}

TABLE: list[tuple[str, Object, str, str, str]] = [
    # what, object, Argo CD, what its message says, kstatus
    ("not seen yet", NOT_SEEN, "Progressing", "No operator", "Current"),
    ("seen, nothing said", {**NOT_SEEN, "status": {}}, "Progressing", "No operator", "Current"),
    (
        "a newer spec",
        job(P.RUNNING, "Ready", generation=4),
        "Progressing",
        "newest spec",
        "InProgress",
    ),
    (
        "waits to start",
        job(P.PENDING, "!Ready:Pending", "!Stalled"),
        "Progressing",
        "Pending",
        "InProgress",
    ),
    (
        "is tried first",
        job(P.PREFLIGHT, "!Ready:Starting", "Reconciling:Preflight: pulling the image"),
        "Progressing",
        "Preflight: pulling the image",
        "InProgress",
    ),
    (
        "starts",
        job(P.STARTING, "!Ready:Starting", "Reconciling:Starting"),
        "Progressing",
        "Starting",
        "InProgress",
    ),
    (
        "runs",
        job(P.RUNNING, "Ready:Running", "!Progressing", "!Degraded", "!Reconciling", "!Stalled"),
        "Healthy",
        "Running",
        "Current",
    ),
    (
        "runs, checkpoints are old",
        job(P.RUNNING, "Ready:Running", "!CheckpointFresh:Stale"),
        "Healthy",
        "Running",
        "Current",
    ),
    (
        "runs, the first start of an image hangs",
        job(
            P.STARTING,
            "!Ready:Starting",
            "Reconciling:Starting",
            diagnosis="image a:1 cannot be pulled",
        ),
        "Progressing",
        "image a:1 cannot be pulled",
        "InProgress",
    ),
    (
        "is upgraded",
        job(P.UPGRADING, "!Ready", "Progressing", "Reconciling:Upgrading"),
        "Progressing",
        "Upgrading",
        "InProgress",
    ),
    (
        "is rescaled while it runs",
        job(P.RESCALING, "Ready", "Reconciling:Rescaling"),
        "Progressing",
        "Rescaling",
        "InProgress",
    ),
    (
        "rolls back",
        job(P.ROLLING_BACK, "!Ready", "Reconciling:RollingBack"),
        "Progressing",
        "RollingBack",
        "InProgress",
    ),
    (
        "is being suspended",
        job(P.SUSPENDING, "!Ready", "Reconciling:Suspending"),
        "Progressing",
        "Suspending",
        "InProgress",
    ),
    (
        "is suspended",
        job(P.SUSPENDED, "Ready:Suspended", "!Reconciling", "!Stalled"),
        "Suspended",
        "state kept",
        "Current",
    ),
    (
        "has finished",
        job(P.FINISHED, "Ready:Finished", "!Stalled"),
        "Healthy",
        "Finished",
        "Current",
    ),
    (
        "was cancelled",
        job(P.CANCELLED, "Ready:Cancelled", "!Stalled"),
        "Healthy",
        "Cancelled",
        "Current",
    ),
    (
        "crash loops",
        job(
            P.RUNNING,
            "!Ready:CrashLoop",
            "Degraded:CrashLoop: KeyError: 'origin'",
            "!Reconciling",
            "!Stalled",
        ),
        "Degraded",
        "KeyError: 'origin'",
        "InProgress",
    ),
    (
        "crash loops while it is upgraded",
        job(
            P.UPGRADING,
            "!Ready:CrashLoop",
            "Degraded:CrashLoop",
            "Reconciling",
            diagnosis="OOMKilled at 1Gi",
        ),
        "Degraded",
        "OOMKilled at 1Gi",
        "InProgress",
    ),
    (
        "runs with a refused spec",
        job(
            P.RUNNING,
            "Ready:Running",
            "!Degraded",
            "Stalled:PreflightFailed: module flights not found",
        ),
        "Degraded",
        "Running, but not as asked: module flights not found",
        "Failed",
    ),
    (
        "was rolled back",
        job(P.RUNNING, "Ready:Running", "Stalled:RolledBack: revision 4 did not become stable"),
        "Degraded",
        "revision 4",
        "Failed",
    ),
    (
        "has failed",
        job(P.FAILED, "!Ready:Failed", "Degraded:Failed: boom", "Stalled:Failed"),
        "Degraded",
        "boom",
        "Failed",
    ),
    ("has failed, and says no more", job(P.FAILED, "!Ready"), "Degraded", "Degraded", "InProgress"),
    (
        "is paused",
        job(P.RUNNING, "Ready:Running", "Stalled:Paused"),
        "Suspended",
        "flowjob.dev/pause",
        "Failed",
    ),
    (
        "has a JobManager that does not answer",
        job(
            P.RUNNING,
            "!Ready:JobManagerUnreachable",
            "Degraded:JobManagerUnreachable: no answer for 30 s",
        ),
        "Degraded",
        "no answer",
        "InProgress",
    ),
    ("is being deleted", GOING, "Progressing", "deletionPolicy", "Terminating"),
]


@pytest.mark.parametrize(
    ("wire", "health", "words"), [(w, h, m) for _, w, h, m, _ in TABLE], ids=[w for w, *_ in TABLE]
)
def test_argo_cd_shows_a_job_that(wire: Object, health: str, words: str) -> None:
    found, message = argocd(wire)
    assert found == health
    assert words in message


@pytest.mark.parametrize(
    ("wire", "status"), [(w, k) for _, w, _, _, k in TABLE], ids=[w for w, *_ in TABLE]
)
def test_kstatus_sees_a_job_that(wire: Object, status: str) -> None:
    assert kstatus(wire) == status


def test_every_phase_is_in_the_table() -> None:
    assert {wire.get("status", {}).get("phase") for _, wire, *_ in TABLE} >= {
        p.value for p in Phase
    }


conditions = st.lists(
    st.builds(
        lambda kind, mark, rest: mark + kind.value + rest,
        st.sampled_from(list(ConditionType)),
        st.sampled_from(["", "!", "?"]),
        st.sampled_from(["", ":Paused", ":Running", ":CrashLoop: boom"]),
    ),
    unique_by=lambda text: text.lstrip("!?").partition(":")[0],
)


@pytest.mark.slow
@hypothesis.given(st.sampled_from(list(Phase)), conditions, st.sampled_from([2, 3, 4]))
@hypothesis.settings(max_examples=60)
def test_whatever_a_status_says_argo_cd_and_kstatus_do_not_contradict_each_other(
    phase: Phase, said: list[str], generation: int
) -> None:
    wire = job(phase, *said, generation=max(generation, 3))
    health, message = argocd(wire)
    assert message
    assert (
        health
        in {
            "Current": ("Healthy", "Suspended", "Degraded", "Progressing"),
            "InProgress": ("Progressing", "Degraded", "Suspended"),
            "Failed": ("Degraded", "Suspended"),
        }[kstatus(wire)]
    )
    if health == "Healthy":
        assert kstatus(wire) == "Current"


SNAPSHOTS: list[tuple[str, Object, str, str]] = [
    ("Pending", {}, "Progressing", "Pending"),
    ("InProgress", {}, "Progressing", "InProgress"),
    ("Completed", {"path": "s3://a/b"}, "Healthy", "s3://a/b"),
    ("Completed", {}, "Healthy", "Completed"),
    ("Failed", {"error": "no space"}, "Degraded", "no space"),
    ("Abandoned", {"error": "the job does not run"}, "Degraded", "does not run"),
    ("Failed", {}, "Degraded", "conditions"),
    ("Deleting", {}, "Progressing", "Deleting"),
]


@pytest.mark.parametrize(("phase", "more", "health", "words"), SNAPSHOTS)
def test_argo_cd_shows_a_snapshot(phase: str, more: Object, health: str, words: str) -> None:
    status = FlowSnapshotStatus.of({"phase": phase, **more}).wire()
    found, message = argocd({"metadata": {"name": "a"}, "status": status}, "FlowSnapshot")
    assert found == health
    assert words in message


def test_every_phase_of_a_snapshot_is_in_the_table() -> None:
    assert {phase for phase, *_ in SNAPSHOTS} == {p.value for p in SnapshotPhase}


def test_argo_cd_shows_a_snapshot_that_is_new_or_going() -> None:
    assert argocd({"metadata": {"name": "a"}}, "FlowSnapshot")[0] == "Progressing"
    going = {"metadata": {"deletionTimestamp": SINCE}, "status": {"phase": "Completed"}}
    assert argocd(going, "FlowSnapshot") == ("Progressing", "Being deleted")


def test_the_settings_of_argo_cd_hold_the_scripts() -> None:
    made = yaml.safe_load((ROOT / ARGOCD / "values.yaml").read_text())
    assert made["configs"]["cm"] == {
        f"resource.customizations.health.flowjob.dev_{kind.name}": script(kind.name)
        for kind in (FLOWJOB, FLOWSNAPSHOT)
    }


def test_the_example_leaves_parallelism_to_others_for_good() -> None:
    spec = yaml.safe_load((ROOT / ARGOCD / "application.yaml").read_text())["spec"]
    (ignored,) = spec["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("flowjob.dev", "FlowJob")
    assert ignored["jqPathExpressions"] == [FLOWJOB.scale and FLOWJOB.scale.wanted]
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]
