"""What one request of the client does about failures, refusals and streams that break."""

from __future__ import annotations

import ssl

import pytest

from flowjob import errors
from flowjob.client.models import Operation, Progress, UpgradeWish
from flowjob.client.retrying import Retries, retry_after
from tests.client.scripted import Scripted, operation, problem, scripted

JOB = {"namespace": "shop", "name": "orders", "state": "Running", "somethingNew": 1}


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
        problem(503, "UNREACHABLE"),
        problem(429, "TOO_MANY"),
        Scripted(502, b"<html>", {"content-type": "text/html"}),
        Scripted(200, breaks=ConnectionResetError(104, "reset")),
    ],
    ids=["refused", "late", "503", "429", "502", "breaks off"],
)
def test_what_passes_is_tried_again(failure: Scripted | OSError) -> None:
    client, transport, clock = scripted(failure, Scripted(200, JOB))
    assert client.job("orders", "shop").get().state == "Running"
    assert len(transport.asked) == 2
    assert clock.pauses == [0.2]


def test_a_write_that_is_sent_again_has_the_same_key() -> None:
    client, transport, _ = scripted(TimeoutError(), Scripted(202, operation()))
    client.job("orders", "shop").savepoint()
    assert [r.headers["Idempotency-Key"] for r in transport.asked] == ["key-1", "key-1"]


def test_pauses_grow_and_the_service_says_how_long_it_wants() -> None:
    busy = problem(429, "TOO_MANY")
    busy.headers = {**busy.headers, "retry-after": "7"}
    client, _, clock = scripted(problem(503), problem(503), busy, Scripted(200, JOB))
    client.job("orders", "shop").get()
    assert clock.pauses == [0.2, 0.4, 7.0]


def test_after_its_attempts_the_last_failure_is_raised_with_what_to_do() -> None:
    client, transport, _ = scripted(*[ConnectionRefusedError(111, "refused")] * 6)
    with pytest.raises(
        errors.ServiceUnreachable, match="no service answers at http://it: refused"
    ) as found:
        client.job("orders", "shop").get()
    assert "flowjob run … --web" in found.value.next_step
    assert len(transport.asked) == 6


def test_no_try_begins_behind_the_deadline() -> None:
    slow = problem(503)
    slow.after = 29.9
    client, transport, _ = scripted(slow, Scripted(200, JOB))
    with pytest.raises(errors.ServiceUnreachable):
        client.job("orders", "shop").get()
    assert len(transport.asked) == 1


def test_a_certificate_that_is_refused_is_not_tried_again() -> None:
    refused = ssl.SSLCertVerificationError(1, "self-signed certificate")
    client, transport, _ = scripted(refused)
    with pytest.raises(errors.BadRequest, match="is not who it says") as found:
        client.job("orders", "shop").get()
    assert "--ca-file" in found.value.next_step
    assert len(transport.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.NotAllowed),
        (403, errors.NotAllowed),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (412, errors.Conflict),
        (413, errors.BadRequest),
        (422, errors.BadRequest),
        (500, errors.ServiceError),
        (302, errors.ServiceError),
    ],
)
def test_each_refusal_is_an_error_of_its_kind_at_once(
    status: int, kind: type[errors.ServiceError]
) -> None:
    client, transport, _ = scripted(problem(status, "SOME_CODE", "this will not do"))
    with pytest.raises(kind, match="this will not do") as found:
        client.job("orders", "shop").get()
    assert type(found.value) is kind
    assert (found.value.status, found.value.reason) == (status, "SOME_CODE")
    assert len(transport.asked) == 1


def test_fields_that_are_wrong_are_named() -> None:
    wrong = [{"field": "body.parallelism", "message": "at least 1"}]
    client, _, _ = scripted(problem(422, "INVALID", "the request is wrong", errors=wrong))
    with pytest.raises(errors.BadRequest, match=r"body\.parallelism: at least 1"):
        client.job("orders", "shop").scale(0)


@pytest.mark.parametrize("body", [b"not json", b"[1]", b'{"namespace": 3}', b""])
def test_an_answer_that_is_none_of_ours_is_said_to_be(body: bytes) -> None:
    client, _, _ = scripted(Scripted(200, body))
    with pytest.raises(errors.ServiceError, match="something else than flowjob's service") as found:
        client.job("orders", "shop").get()
    assert "--server" in found.value.next_step


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"{", b'{"title": 3}', b'{"errors": 1, "detail": "x"}']
)
def test_a_problem_that_cannot_be_read_is_still_an_error_of_its_status(body: bytes) -> None:
    client, _, _ = scripted(Scripted(409, body, {"content-type": "application/problem+json"}))
    with pytest.raises(errors.Conflict):
        client.job("orders", "shop").cancel()


def test_names_cannot_lead_to_other_paths() -> None:
    client, transport, _ = scripted(Scripted(200, JOB), Scripted(202, operation()))
    client.job("../../x?y#z", "a/b").get()
    client.job("orders", "shop").delete_snapshot("../../orders")
    assert transport.asked[0].path == "/api/v1/jobs/a%2Fb/..%2F..%2Fx%3Fy%23z"
    assert transport.asked[1].path == "/api/v1/jobs/shop/orders/snapshots/..%2F..%2Forders"


def test_only_what_is_said_is_sent() -> None:
    client, transport, _ = scripted(Scripted(202, operation()), Scripted(202, operation()))
    client.job("orders", "shop").upgrade(UpgradeWish(args={"a": "1", "b": None}), if_match='"7"')
    client.job("orders", "shop").savepoint()
    assert transport.asked[0].body == b'{"args":{"a":"1","b":null}}'
    assert transport.asked[0].headers["If-Match"] == '"7"'
    assert transport.asked[1].body == b"{}"


def test_the_token_goes_with_every_request() -> None:
    client, transport, _ = scripted(Scripted(200, JOB), token="secret")
    client.job("orders", "shop").get()
    assert transport.asked[0].headers["Authorization"] == "Bearer secret"


def test_all_pages_are_listed() -> None:
    pages = [Scripted(200, {"jobs": [JOB], "next": "2/3"}), Scripted(200, {"jobs": [JOB]})]
    client, transport, _ = scripted(*pages)
    assert len(list(client.jobs(state="Running"))) == 2
    assert transport.asked[0].path == "/api/v1/jobs?state=Running&limit=500"
    assert transport.asked[1].path == "/api/v1/jobs?state=Running&limit=500&continue=2%2F3"


def test_every_answer_is_closed() -> None:
    answers = [problem(503), problem(503), Scripted(200, JOB)]
    client, _, _ = scripted(*answers)
    client.job("orders", "shop").get()
    assert all(answer.closed for answer in answers)


# -- operations


def test_an_operation_is_waited_for_and_its_progress_told() -> None:
    steps = [
        operation("Pending", progress={"share": None, "step": "waits"}),
        operation("Running", progress={"share": 0.5, "step": "stores"}),
        operation("Done", result={"snapshot": {"type": "Savepoint", "path": "s3://b/x"}}),
    ]
    client, transport, clock = scripted(*[Scripted(200, s) for s in steps])
    begun = client.job("orders", "shop").savepoint()
    told: list[Progress] = []
    done = client.wait(begun, timeout=60, on_progress=lambda o: told.append(o.progress))
    assert done.result is not None
    assert done.result.snapshot is not None
    assert done.result.snapshot.path == "s3://b/x"
    assert [p.share for p in told] == [None, 0.5, None]
    assert transport.asked[1].path == "/api/v1/operations/op%2F1"
    assert clock.pauses == sorted(clock.pauses)


def test_an_operation_that_fails_is_an_error_with_its_reason() -> None:
    failed = operation("Failed", error={"code": "STORAGE", "message": "the bucket is gone"})
    client, _, _ = scripted(Scripted(202, failed))
    with pytest.raises(errors.OperationFailed, match="the bucket is gone") as found:
        client.wait(client.job("orders", "shop").savepoint())
    assert found.value.reason == "STORAGE"


def test_past_the_deadline_the_operation_is_said_to_go_on() -> None:
    client, _, clock = scripted(*[Scripted(202, operation())] * 100)
    with pytest.raises(errors.DeadlinePassed, match="still under way") as found:
        client.wait(client.job("orders", "shop").savepoint(), timeout=5)
    assert clock.time == pytest.approx(5)
    assert "flowjob status orders" in found.value.next_step


def test_without_a_deadline_it_is_waited_for_as_long_as_it_takes() -> None:
    answers = [*[Scripted(202, operation())] * 5000, Scripted(202, operation("Done"))]
    client, _, _ = scripted(*answers)
    assert client.wait(client.job("orders", "shop").savepoint()).state == "Done"


GONE = ConnectionRefusedError(111, "refused")


def begun(kind: str, namespace: str) -> Scripted:
    return Scripted(202, operation(kind=kind) | {"job": {"namespace": namespace, "name": "orders"}})


def test_a_local_job_that_is_cancelled_takes_its_service_with_it() -> None:
    client, _, _ = scripted(begun("Cancel", "local"), *[GONE] * 6)
    assert client.wait(client.job("orders").cancel()).state == "Done"


@pytest.mark.parametrize(
    ("kind", "namespace", "step"),
    [("Stop", "local", "savepoint list orders"), ("Scale", "local", "--web"), ("Cancel", "shop", "--web")],
)  # fmt: skip
def test_otherwise_a_service_that_is_gone_tells_nothing(
    kind: str, namespace: str, step: str
) -> None:
    client, _, _ = scripted(begun(kind, namespace), *[GONE] * 6)
    with pytest.raises(errors.ServiceUnreachable) as found:
        client.wait(client.job("orders", namespace).restart())
    assert step in found.value.next_step


# -- streams


def line(number: int) -> tuple[str, ...]:
    text = f'{{"sequence": {number}, "at": "2026-03-01T12:00:00Z", "message": "m{number}"}}'
    return (f"id: {number}", "event: line", f"data: {text}", "")


def stream(*numbers: int, breaks: OSError | None = None) -> Scripted:
    lines = sum((line(n) for n in numbers), ("retry: 3000", "", ": beat", ""))
    return Scripted(200, stream=lines, breaks=breaks, headers={"content-type": "text/event-stream"})


def test_a_stream_that_breaks_is_opened_again_behind_what_arrived() -> None:
    broken = ConnectionResetError(104, "reset")
    client, transport, _ = scripted(
        stream(1, 2, breaks=broken), TimeoutError(), stream(3), Scripted(204)
    )
    lines = client.job("orders", "shop").follow_logs()
    assert [found.message for found in lines] == ["m1", "m2", "m3"]
    sent = [request.headers.get("Last-Event-ID") for request in transport.asked]
    assert sent == [None, "2", "2", "3"]


def test_half_an_event_is_not_taken_for_one() -> None:
    half = Scripted(200, stream=(*line(1), "id: 2", "event: line", 'data: {"sequence"'))
    client, transport, _ = scripted(half, Scripted(204))
    assert [found.sequence for found in client.job("orders", "shop").follow_logs()] == [1]
    assert transport.asked[1].headers["Last-Event-ID"] == "1"


def test_a_stream_that_cannot_be_opened_any_more_is_an_error() -> None:
    client, _, _ = scripted(stream(1), *[ConnectionRefusedError(111, "refused")] * 6)
    lines = client.job("orders", "shop").follow_logs()
    assert next(lines).sequence == 1
    with pytest.raises(errors.ServiceUnreachable):
        next(lines)


def test_a_stream_that_lives_long_without_events_may_break_any_number_of_times() -> None:
    quiet = [Scripted(200, stream=(": beat", ""), after=30.0) for _ in range(50)]
    client, transport, _ = scripted(*quiet, Scripted(204))
    assert list(client.job("orders", "shop").follow_logs()) == []
    assert len(transport.asked) == 51


def test_a_stream_that_is_refused_says_why() -> None:
    expired = Scripted(200, stream=("event: expired", "data: {}", ""))
    client, _, _ = scripted(expired, problem(401, "UNAUTHENTICATED", "the token has expired"))
    with pytest.raises(errors.NotAllowed, match="the token has expired"):
        list(client.job("orders", "shop").follow_logs())


def test_what_is_no_log_line_is_an_error() -> None:
    client, _, _ = scripted(Scripted(200, stream=("event: line", "data: []", "")))
    with pytest.raises(errors.ServiceError, match="no LogLine"):
        list(client.job("orders", "shop").follow_logs())


# -- retries


@pytest.mark.parametrize(
    "said", ["", None, "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", "nan"]
)
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(said: str | None) -> None:
    assert retry_after(said) == 0.0


def test_pauses_end_at_the_longest_and_after_the_attempts() -> None:
    retries = Retries(attempts=10, first=1.0, longest=4.0)
    pauses = [retries.pause(n, 1.0) for n in range(1, 11)]
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, None]
    assert retries.pause(1, 0.0) == 0.5


def test_an_operation_knows_whether_it_is_over() -> None:
    import msgspec

    states = {
        state: msgspec.convert(operation(state), Operation).is_over
        for state in ("Pending", "Running", "Done", "Failed")
    }
    assert states == {"Pending": False, "Running": False, "Done": True, "Failed": True}
