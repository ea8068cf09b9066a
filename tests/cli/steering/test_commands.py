"""Commands about running jobs: what they ask for, what they print for people and programs, how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowjob import errors
from flowjob.cli import exits
from flowjob.cli.steering import choosing
from flowjob.cli.steering.completing_names import names_of_jobs
from flowjob.client.models import OperationResult, SnapshotFacts, UpgradePlan, UpgradeWish
from flowjob.client.steering import RestoreSource
from tests.cli.steering.made_up import MadeUpJobs, put, run, summary


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> MadeUpJobs:
    monkeypatch.delenv("FLOWJOB_SERVER", raising=False)
    return put(monkeypatch, MadeUpJobs())


WISHES: dict[tuple[str, ...], tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    ("scale", "orders", "4"): ("scale", (4,), {"force": False}),
    ("scale", "orders", "4", "--force"): ("scale", (4,), {"force": True}),
    ("suspend", "orders", "--drain"): ("suspend", (), {"drain": True, "force": False}),
    ("resume", "orders", "-p", "3"): ("resume", (), {"parallelism": 3, "force": False}),
    ("cancel", "orders", "--yes"): ("cancel", (), {"force": False}),
    ("restart", "orders", "--reason", "x"): ("restart", ("x",), {"force": False}),
    ("restore", "orders", "--from", "before", "-y"): (
        "restore",
        (RestoreSource(snapshot="before"),),
        {"force": False},
    ),
    ("snapshot", "take", "orders", "--name", "a"): ("savepoint", ("a",), {}),
    ("snapshot", "verify", "orders", "a"): ("verify_snapshot", ("a",), {}),
    ("snapshot", "delete", "orders", "a", "-y"): ("delete_snapshot", ("a",), {}),
    ("savepoint", "take", "orders", "--server", "x"): ("savepoint", (None,), {}),
    ("stop", "orders", "--server", "x"): ("cancel", (), {"force": False}),
    ("stop", "orders", "--savepoint", "--name", "a", "--server", "x"): (
        "stop",
        (),
        {"name": "a", "drain": False},
    ),
    (
        "upgrade", "orders", "--image", "i:2", "-a", "x=1=2", "-a", "y-", "-p", "3", "--mode", "last-state",
    ): (
        "upgrade",
        (UpgradeWish(image="i:2", args={"x": "1=2", "y": None}, parallelism=3, mode="LastState"),),
        {"force": False},
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", WISHES, ids=" ".join)
def test_a_command_wishes_what_its_words_say(jobs: MadeUpJobs, words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert ended.exit_code == exits.EXIT_OK, ended.output
    assert jobs.wishes == [WISHES[words]]
    assert jobs.waited == (3600.0 if "verify" in words else 900.0)


@pytest.mark.parametrize("words", WISHES, ids=" ".join)
def test_each_answers_a_program_with_the_operation(
    jobs: MadeUpJobs, words: tuple[str, ...]
) -> None:
    answer = json.loads(run(*words, "--json").stdout)
    assert answer["state"] == "Done"
    assert answer["job"] == {"namespace": "shop", "name": "orders"}


def test_a_savepoint_prints_its_place_alone(jobs: MadeUpJobs) -> None:
    jobs.result = OperationResult(snapshot=SnapshotFacts(type="Savepoint", path="s3://b/x"))
    ended = run("snapshot", "take", "orders")
    assert ended.stdout == "s3://b/x\n"
    steps = "savepoint orders: takes a savepoint\nsavepoint orders: stores\n"
    assert ended.stderr == steps


def test_nobody_waits_who_does_not_want_to(jobs: MadeUpJobs) -> None:
    ended = run("scale", "orders", "4", "--no-wait")
    assert ended.stdout == "scale: begun, as operation op-1\n"
    assert jobs.waited == -1.0


@pytest.mark.parametrize(("said", "seconds"), [("0", None), ("90s", 90.0), ("2h", 7200.0)])
def test_the_wait_is_as_long_as_it_is_said(
    jobs: MadeUpJobs, said: str, seconds: float | None
) -> None:
    run("scale", "orders", "4", "--timeout", said)
    assert jobs.waited == seconds


@pytest.mark.parametrize(
    "words",
    [
        ("upgrade", "orders"),
        ("upgrade", "orders", "-a", "x"),
        ("upgrade", "orders", "-a", "=1"),
        ("upgrade", "orders", "-a", "x=1", "-a", "x-"),
        ("upgrade", "orders", "--mode", "Best"),
        ("upgrade", "orders", "--script", "nowhere.py"),
        ("scale", "orders", "0"),
        ("scale", "orders", "4", "--timeout", "soon"),
        ("logs", "orders", "--level", "LOUD"),
        ("cancel", "orders"),
        ("restore", "orders", "--from", "a"),
        ("snapshot", "delete", "orders", "a"),
        ("status", ""),
        ("status", "shop/"),
        ("status", "shop/orders", "-n", "other"),
        ("stop", "orders", "--drain"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    jobs: MadeUpJobs, words: tuple[str, ...]
) -> None:
    assert run(*words).exit_code == exits.EXIT_USAGE
    assert jobs.wishes == []


ENDS: list[tuple[errors.FlowjobError, int]] = [
    (errors.OperationFailed("it failed"), exits.EXIT_FAILED),
    (errors.ServiceError("it is broken"), exits.EXIT_FAILED),
    (errors.BadRequest("no"), exits.EXIT_USAGE),
    (errors.NotFound("no such job"), exits.EXIT_NOT_FOUND),
    (errors.NotAllowed("you may not"), exits.EXIT_NOT_ALLOWED),
    (errors.Conflict("it has changed"), exits.EXIT_CONFLICT),
    (errors.ServiceUnreachable("nobody answers"), exits.EXIT_UNREACHABLE),
    (errors.DeadlinePassed("it goes on"), exits.EXIT_DEADLINE),
]


@pytest.mark.parametrize(("error", "status"), ENDS, ids=lambda v: getattr(v, "code", v))
def test_each_kind_of_failure_has_its_status_and_says_what_to_do(
    jobs: MadeUpJobs, error: errors.ServiceError, status: int
) -> None:
    error.next_step = "do this"
    jobs.fails = error
    ended = run("scale", "orders", "4")
    assert ended.exit_code == status
    assert ended.stderr.endswith(f"error[{error.code}]: {error.message}\nnext: do this\n")
    told = json.loads(run("scale", "orders", "4", "--json").stderr)["error"]
    assert (told["code"], told["exitStatus"], told["nextStep"]) == (error.code, status, "do this")


# -- which job


@pytest.mark.parametrize("said", [("orders",), ("shop/orders",), ("orders", "-n", "shop")])
def test_a_job_is_found_by_its_name(jobs: MadeUpJobs, said: tuple[str, ...]) -> None:
    assert json.loads(run("status", *said, "--json").stdout)["namespace"] == "shop"


def test_one_name_in_two_namespaces_has_to_be_said_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, MadeUpJobs(summary(), summary(namespace="test")))
    ended = run("status", "orders")
    assert ended.exit_code == exits.EXIT_USAGE
    assert "in each of the namespaces shop, test" in ended.stderr
    assert "next: Say which: shop/orders" in ended.stderr


def test_a_name_that_is_not_there_is_met_with_the_nearest(jobs: MadeUpJobs) -> None:
    ended = run("status", "order5")
    assert ended.exit_code == exits.EXIT_NOT_FOUND
    assert "has no job `order5`. Did you mean `orders`?" in ended.stderr


# -- what is shown


def test_jobs_are_a_table_and_a_list(jobs: MadeUpJobs) -> None:
    assert {"shop", "orders", "Running"} <= set(run("jobs").stdout.split())
    assert [job["name"] for job in json.loads(run("jobs", "--json").stdout)] == ["orders"]
    assert json.loads(run("jobs", "--json", "-q", "none").stdout) == []
    assert run("jobs", "-q", "none").stdout == "no jobs\n"


def test_the_status_says_what_is_wrong(jobs: MadeUpJobs) -> None:
    shown = run("status", "orders").stdout
    assert "checkpoints fail" in shown
    assert "30,000 rows/s in" in shown
    assert "4 Running" in shown
    assert "none yet" in shown


def test_the_graph_is_drawn_with_its_rates(jobs: MadeUpJobs) -> None:
    assert run("graph", "orders").stdout == (
        "orders, parallelism 2 of at most 128\n"
        "\n"
        "● [0] read  ×2\n"
        "│     30,000 rows/s out, busy 40%\n"
        "↓ hash(word)\n"
        "● [1] count  ×2\n"
        "      0 rows/s in, busy 0% (busiest 95%)\n"
        "\n"
    )
    assert json.loads(run("graph", "orders", "--json").stdout)["edges"][0]["keys"] == ["word"]


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_log_lines_say_who_said_them_and_obey_no_terminal(
    jobs: MadeUpJobs, follow: tuple[str, ...]
) -> None:
    ended = run("logs", "orders", "--tail", "5", "--level", "error", "--vertex", "1", *follow)
    assert ended.stdout == "12:00:00.123 INFO    JobManager: hello �[31mred\n"
    ((_, (query,), _),) = jobs.wishes
    assert (query.limit, query.level, query.vertex) == (5, "ERROR", 1)
    line = json.loads(run("logs", "orders", "--json", *follow).stdout)
    assert line["message"] == "hello \x1b[31mred"


def test_snapshots_are_listed(jobs: MadeUpJobs) -> None:
    shown = run("snapshot", "list", "orders").stdout
    assert {"before", "1.2", "MB", "s3://b/x", "newest"} <= set(shown.split())
    assert run("savepoint", "list", "orders", "-n", "shop").stdout == shown
    found = json.loads(run("snapshot", "list", "orders", "--json").stdout)
    assert found["snapshots"][0]["name"] == "before"


def test_a_dry_run_says_what_would_move(jobs: MadeUpJobs) -> None:
    ended = run("upgrade", "orders", "-p", "3", "--dry-run")
    assert ended.stdout.splitlines() == [
        "would be done: Upgrade",
        "  state kept          count (`c`): 7 rows",
    ]
    assert [verb for verb, _, _ in jobs.wishes] == ["plan_upgrade"]


def test_a_dry_run_of_what_would_be_refused_fails(jobs: MadeUpJobs) -> None:
    jobs.plan = UpgradePlan(accepted=False, problems=["no module named x"])
    ended = run("upgrade", "orders", "-p", "3", "--dry-run")
    assert ended.exit_code == exits.EXIT_FAILED
    assert "problem: no module named x" in ended.stdout
    assert (
        json.loads(run("upgrade", "orders", "-p", "3", "--dry-run", "--json").stdout)["accepted"]
        is False
    )


def test_what_others_have_written_does_not_steer_the_terminal(jobs: MadeUpJobs) -> None:
    evil = "\x1b]0;evil\x07\x9b31m"
    jobs.fails = errors.OperationFailed(evil, next_step=evil)
    jobs.listed = [summary(message=evil, image=evil)]
    jobs.plan = UpgradePlan(accepted=True, notes=[evil])
    jobs.result = OperationResult(notes=[evil])
    for words in (
        ["jobs"],
        ["scale", "orders", "4"],
        ["upgrade", "orders", "-p", "3", "--dry-run"],
    ):
        ended = run(*words)
        said = ended.stdout + ended.stderr
        assert "evil" in said
        assert not set("\x1b\x07\x9b") & set(said)


@pytest.mark.parametrize(
    ("typed", "names"),
    [("", ["orders", "clicks"]), ("or", ["orders"]), ("x", []), ("shop/", ["shop/orders"])],
)
def test_names_of_jobs_are_completed(
    monkeypatch: pytest.MonkeyPatch, typed: str, names: list[str]
) -> None:
    put(monkeypatch, MadeUpJobs(summary(), summary("clicks", "web")))
    assert names_of_jobs({"server": None, "watch": False}, typed) == names


def test_where_nobody_answers_nothing_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(where: object, tries: int) -> MadeUpJobs:
        raise errors.ServiceUnreachable("nobody")

    monkeypatch.setattr(choosing, "_chosen", refused)
    assert names_of_jobs({}, "o") == []
