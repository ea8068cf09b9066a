"""The client against the real REST service: what one sends the other takes, what it answers is understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from flowjob import errors
from flowjob.client import models
from flowjob.client.client import Client
from flowjob.client.job_client import JobClient
from flowjob.client.models import UpgradeWish
from flowjob.client.steering import RestoreSource
from flowjob.cluster import control_api as control
from flowjob.cluster import job_details as details
from flowjob.cluster import local_requests as own
from flowjob_api.schemas import actions, history, jobs, operations, session
from tests.client.in_process import InProcess, MadeUpJob, client_of


@pytest.fixture
def job() -> MadeUpJob:
    return MadeUpJob()


@pytest.fixture
def transport(job: MadeUpJob) -> Iterator[InProcess]:
    with InProcess(job) as transport:
        yield transport


@pytest.fixture
def client(transport: InProcess) -> Client:
    return client_of(transport)


def test_the_job_is_listed_and_looked_at(client: Client) -> None:
    (listed,) = client.jobs()
    assert (listed.namespace, listed.name, listed.state) == ("local", "flights", "Running")
    found = client.job("flights").get()
    assert (found.parallelism, found.tasks, found.rows_in_per_second) == (2, {"Running": 4}, 30_000)
    assert found.slots.offered == 2
    assert "savepoint" in found.actions
    assert client.is_ready()
    assert client.session().mode == "local"


READS: dict[str, tuple[Callable[[JobClient], Any], Callable[[Any], Any], Any]] = {
    "graph": (lambda j: j.graph(subtasks=True), lambda a: [e.keys for e in a.edges], [["word"]]),
    "tasks": (lambda j: j.tasks(vertex=1), lambda a: a.tasks, []),
    "checkpoints": (lambda j: j.checkpoints(), lambda a: a.completed, 3),
    "snapshots": (lambda j: j.snapshots(), lambda a: a.snapshots[0].name, "a"),
    "exceptions": (lambda j: j.exceptions(), lambda a: a.dropped, 2),
    "metrics": (
        lambda j: j.metrics(vertex=-1, names=["rowsIn"], window="1h"),
        lambda a: a.step_seconds,
        5.0,
    ),
    "configuration": (
        lambda j: j.configuration(),
        lambda a: a.sections,
        {"job": {"parallelism": 2}},
    ),
    "plan": (lambda j: j.plan(), lambda a: a.digest, "9f"),
    "logs": (
        lambda j: j.logs(details.LogQuery(after=4, level="ERROR", vertex=1, subtask=0, text="x")),
        lambda a: [line.sequence for line in a.lines],
        [5, 6],
    ),
}


@pytest.mark.parametrize("name", READS)
def test_every_read_is_answered_and_understood(client: Client, name: str) -> None:
    ask, part, wanted = READS[name]
    assert part(ask(client.job("flights"))) == wanted


WRITES: dict[str, tuple[Callable[[JobClient], models.Operation], type]] = {
    "Savepoint": (lambda j: j.savepoint("before"), control.TakeSavepoint),
    "Stop": (lambda j: j.stop(name="last", drain=True, timeout="5m"), control.StopJob),
    "Scale": (lambda j: j.scale(4), control.Rescale),
    "Cancel": (lambda j: j.cancel(), control.CancelJob),
    "Restart": (lambda j: j.restart("new credentials"), control.NewAttempt),
    "Suspend": (lambda j: j.suspend(), own.SuspendJob),
    "Upgrade": (lambda j: j.upgrade(UpgradeWish(args={"a": 1})), own.UpgradeJob),
    "Restore": (lambda j: j.restore(RestoreSource.of("before")), own.RestoreJob),
    "VerifySnapshot": (lambda j: j.verify_snapshot("a"), own.VerifySnapshot),
    "DeleteSnapshot": (lambda j: j.delete_snapshot("a"), own.DeleteSnapshot),
}


@pytest.mark.parametrize("kind", WRITES)
def test_every_write_is_begun_once_and_waited_for(
    client: Client, job: MadeUpJob, kind: str
) -> None:
    begin, wish = WRITES[kind]
    begun = begin(client.job("flights"))
    assert (begun.kind, begun.state, str(begun.job)) == (kind, "Running", "local/flights")
    done = client.wait(begun, timeout=60)
    assert done.state == "Done"
    ((_, asked),) = job.asked
    assert isinstance(asked, wish)


def test_the_same_key_is_the_same_operation(client: Client, job: MadeUpJob) -> None:
    first = client.job("flights").savepoint("a", key="mine")
    assert client.job("flights").savepoint("a", key="mine").id == first.id
    assert len(job.asked) == 1
    with pytest.raises(errors.Conflict, match="Idempotency-Key") as found:
        client.job("flights").savepoint("b", key="mine")
    assert found.value.reason == "KEY_REUSED"


def test_a_write_bound_to_an_older_look_is_refused(client: Client) -> None:
    flights = client.job("flights")
    _, etag = flights.get_with_etag()
    flights.scale(4, if_match=etag)
    with pytest.raises(errors.Conflict) as found:
        flights.scale(5, if_match=etag)
    assert found.value.status == 412


def test_a_dry_run_says_which_state_moves(client: Client) -> None:
    (move,) = client.job("flights").plan_upgrade(UpgradeWish(parallelism=3)).state
    assert (move.operator, move.outcome, move.rows, move.bytes) == ("count", "Redistributed", 7, 56)


def test_an_operation_that_the_job_does_not_do_fails_with_its_reason(
    client: Client, job: MadeUpJob
) -> None:
    job.refuse = control.OperationView(
        id="x", state="Failed", error="only 2 slots are offered", error_code="SLOTS_UNAVAILABLE"
    )
    with pytest.raises(errors.OperationFailed, match="only 2 slots") as found:
        client.wait(client.job("flights").scale(9))
    assert found.value.reason == "SLOTS_UNAVAILABLE"


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda c: c.job("nothing").get(), errors.NotFound),
        (lambda c: c.job("flights", "elsewhere").get(), errors.NotFound),
        (lambda c: c.job("flights").checkpoint(7), errors.NotFound),
        (lambda c: c.operation("nothing"), errors.NotFound),
        (lambda c: c.job("flights").scale(0), errors.BadRequest),
        (lambda c: c.job("flights").savepoint("No Name!"), errors.BadRequest),
        (lambda c: c.page(state="Wrong"), errors.BadRequest),
        (lambda c: c.job("flights").resume(), errors.Conflict),
        (lambda c: c.job("flights").upgrade(UpgradeWish(image="a:1")), errors.Conflict),
        (lambda c: c.submit({"kind": "FlowJob"}, "shop"), errors.BadRequest),
    ],
)
def test_what_cannot_be_is_refused_by_kind(
    client: Client, ask: Callable[[Client], object], kind: type[errors.ServiceError]
) -> None:
    with pytest.raises(kind) as found:
        ask(client)
    assert found.value.reason


def test_a_service_without_a_job_says_so() -> None:
    with InProcess(None) as transport:
        client = client_of(transport)
        assert list(client.jobs()) == []
        with pytest.raises(errors.NotFound, match="flowjob run --web"):
            client.job("flights").get()


def test_a_token_is_asked_for_and_taken() -> None:
    with InProcess(MadeUpJob(), token="right") as transport:
        assert client_of(transport, "right").job("flights").get().name == "flights"
        for wrong in (None, "wrong"):
            with pytest.raises(errors.NotAllowed) as found:
                client_of(transport, wrong).job("flights").get()
            assert "FLOWJOB_TOKEN" in found.value.next_step


def test_logs_are_followed_without_gap_or_repetition_while_streams_end(
    client: Client, transport: InProcess
) -> None:
    lines = client.job("flights").follow_logs()
    numbers = [next(lines).sequence for _ in range(50)]
    assert numbers == list(range(1, 51))
    streams = [h.get("Last-Event-ID") for h in transport.headers]
    assert streams[0] is None
    assert len(streams) >= 3


def test_events_come_with_their_topics(client: Client) -> None:
    kinds = [event.kind for event, _ in zip(client.job("flights").events(), range(1), strict=False)]
    assert kinds == ["job"]


# -- both describe the same


SAME = {
    models.Job: jobs.Job,
    models.JobList: jobs.JobList,
    models.JobSummary: jobs.JobSummary,
    models.Operation: operations.Operation,
    models.OperationResult: operations.OperationResult,
    models.Progress: operations.Progress,
    models.SnapshotFacts: history.SnapshotFacts,
    models.Snapshots: history.Snapshots,
    models.UpgradePlan: actions.UpgradePlan,
    models.PlannedChange: actions.PlannedChange,
    models.StateMove: actions.StateMove,
    models.StatePart: actions.StatePart,
    models.UpgradeWish: actions.UpgradeWish,
    models.Condition: jobs.Condition,
    models.CheckpointSummary: jobs.CheckpointSummary,
    models.Slots: jobs.Slots,
}

NOT_TAKEN_OVER = {models.Session: {"csrfToken", "expiresAt"}}


@pytest.mark.parametrize("mine", [*SAME, models.Session], ids=lambda m: m.__name__)
def test_the_client_knows_the_fields_that_the_service_sends(mine: Any) -> None:
    theirs: Any = session.Session if mine is models.Session else SAME[mine]
    sent = {field.alias for field in theirs.model_fields.values()}
    known = {field.encode_name for field in msgspec.structs.fields(mine)}
    assert known == sent - NOT_TAKEN_OVER.get(mine, set())


def examples() -> Iterator[tuple[str, Any, Any]]:
    answers = {**SAME, models.Session: session.Session}
    for mine, theirs in answers.items():
        extra: Any = theirs.model_config.get("json_schema_extra")
        for given in (extra or {}).get("examples", ()):
            if mine is not models.UpgradeWish:
                yield mine.__name__, mine, given


@pytest.mark.parametrize(("name", "mine", "given"), list(examples()))
def test_every_example_of_the_service_is_understood(name: str, mine: Any, given: Any) -> None:
    assert isinstance(msgspec.convert(given, mine), mine)
