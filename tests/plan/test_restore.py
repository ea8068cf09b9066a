"""A snapshot is held against a changed program before anything is started: what is restored, new, lost or refused."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

import flowjob as fj
from flowjob.cluster.state_moves import moves_of
from flowjob.core.job_events import TaskId
from flowjob.errors import StateMismatch
from flowjob.plan.compile import compile_job
from flowjob.plan.job_graph import JobGraph
from flowjob.plan.restore import Fate, RestorePlan, judge_restore, plan_restore
from flowjob.plan.state_layout import state_layouts
from flowjob.runtime.checkpoint.manifest import (
    Manifest,
    OperatorState,
    PartEntry,
    TaskSnapshot,
    VertexEntry,
)


class Payment(fj.Schema):
    account: str
    amount: float
    at: datetime


class Old(fj.Schema):
    amount: fj.Int32
    note: str


class Wider(fj.Schema):
    amount: fj.Int64
    note: str
    fee: float = 0.0
    by: str | None = None


class Retyped(fj.Schema):
    amount: str
    note: str


class Required(fj.Schema):
    amount: fj.Int32
    note: str
    by: str


def function(**states: Any) -> fj.KeyedProcess[Payment, Payment]:
    """A keyed function with these declared states."""

    def on_row(self: Any, row: Payment, ctx: fj.Context) -> None:
        ctx.emit(row)

    def fill(names: dict[str, Any]) -> None:
        names.update(states, on_row=on_row)

    made = types.new_class("Function", (fj.KeyedProcess[Payment, Payment],), exec_body=fill)
    found: fj.KeyedProcess[Payment, Payment] = made()
    return found


Build = Callable[[fj.Stream[Payment]], "fj.Stream[Any]"]


def graph(build: Build, *, parallelism: int = 2, max_parallelism: int = 128) -> JobGraph:
    """A job whose source is `in`, whose sink is `out`, and whose middle is built."""
    job = fj.Job("payments", max_parallelism=max_parallelism)
    rows = [Payment("a", 1.0, datetime(2026, 1, 1))]
    source = job.read(fj.from_rows(rows, Payment, event_time="at")).named("in")
    job.write(build(source), fj.files.jsonl("out"), name="out")
    return compile_job(job, parallelism=parallelism)


def processed(name: str | None = "middle", **states: Any) -> Build:
    def build(stream: fj.Stream[Payment]) -> fj.Stream[Any]:
        made = stream.key_by("account").process(function(**states))
        return made.named(name) if name else made

    return build


def windowed(window: fj.WindowAssigner, **aggregates: Any) -> Build:
    def build(stream: fj.Stream[Payment]) -> fj.Stream[Any]:
        return stream.key_by("account").window(window).agg(**aggregates).named("middle")

    return build


HOURS = fj.tumbling(timedelta(hours=1))


def snapshot(old: JobGraph, rows: int = 10, *, pending: int = 0, **others: Any) -> Manifest:
    """One in which every section of every operator has rows; sections of windows are called `windows`."""
    layouts = state_layouts(old)
    states = []
    for layout in layouts:
        names = [n for n in layout.sections if n != "rows"] or ["windows"]
        sink = layout.kind == "sink"
        parts = [
            PartEntry(section=n, distribution="keyed", rows=rows, length=100, crc32=0)
            for n in names
        ]
        states.append(
            OperatorState(
                uid=layout.uid,
                name=layout.name,
                kind=layout.kind,
                parts=[] if sink else parts,
                committables=[b"x"] * pending if sink else [],
            )
        )
    tasks = [TaskSnapshot(task=TaskId(0, s), operators=states) for s in range(2)]
    facts: dict[str, Any] = {"id": 7, "kind": "savepoint", "job": "payments", "run_id": "r"}
    return Manifest(
        **(facts | {"created": 1_700_000_000_000_000, "operators": layouts} | others),
        max_parallelism=old.max_parallelism,
        vertices=[VertexEntry(id=v.id, name=v.name, parallelism=2) for v in old.vertices],
        tasks=tasks,
    )


def restore(old: Build, new: Build, *, allow: bool = False, **facts: Any) -> RestorePlan:
    return plan_restore(graph(new), snapshot(graph(old), **facts), allow_non_restored=allow)


def fates(plan: RestorePlan) -> dict[str, Fate]:
    return {operator.name: operator.fate for operator in plan.operators}


def details(plan: RestorePlan) -> list[str]:
    return [d for operator in plan.operators for d in operator.details]


SMALL = {"small": fj.value_state(Old)}


def states(type: Any) -> dict[str, Any]:
    return {"small": fj.value_state(type)}


def test_an_unchanged_program_gets_all_of_its_state() -> None:
    plan = restore(processed(**SMALL), processed(**SMALL))
    assert fates(plan) == {"in": Fate.RESTORED, "middle": Fate.RESTORED, "out": Fate.RESTORED}
    assert details(plan) == []


def test_the_plan_says_what_goes_where() -> None:
    old = snapshot(graph(processed(**SMALL)), rows=1200)
    plan = plan_restore(graph(processed(**states(Wider)), parallelism=3), old)
    assert plan.lines == [
        "starts from savepoint 7 of job payments, taken 2023-11-14 22:13:20 UTC, 4,800 rows of state",
        "  restored  in: 2,400 rows of state, 2 -> 1 subtasks",
        "  restored  middle: 2,400 rows of state, 2 -> 3 subtasks",
        "            state `small`: column amount int32 -> int64",
        "            state `small`: column fee added as double, its default in old rows",
        "            state `small`: column by added as string, its default in old rows",
        "  restored  out: 0 rows of state, 2 -> 3 subtasks",
    ]


def test_the_plan_says_when_event_time_has_ended() -> None:
    ended = snapshot(graph(processed(**SMALL)))
    tasks = [msgspec.structs.replace(task, ended=True) for task in ended.tasks]
    ended = msgspec.structs.replace(ended, tasks=tasks)
    drained = snapshot(graph(processed(**SMALL)), drained=True)
    titles = [plan_restore(graph(processed(**SMALL)), m).title for m in (ended, drained)]
    assert [t.partition("of state; ")[2].partition(":")[0] for t in titles] == [
        "its input had ended",
        "the job was drained",
    ]
    assert all(t.endswith("what comes now is late for them") for t in titles)


def test_operators_without_names_keep_their_state_when_stateless_ones_come_between() -> None:
    def more(stream: fj.Stream[Payment]) -> fj.Stream[Any]:
        return processed(None, **SMALL)(stream.filter(fj.col("amount") > 0))

    plan = restore(processed(None, **SMALL), more)
    assert set(fates(plan).values()) == {Fate.RESTORED}


def test_a_new_operator_starts_empty() -> None:
    def more(stream: fj.Stream[Payment]) -> fj.Stream[Any]:
        kept = processed(**SMALL)(stream)
        return kept.key_by("account").agg(n=fj.count()).named("totals")

    assert fates(restore(processed(**SMALL), more))["totals"] is Fate.NEW


def test_state_without_an_operator_is_refused_with_the_name_that_would_keep_it() -> None:
    with pytest.raises(StateMismatch) as refused:
        restore(processed("before", **SMALL), processed("after", **SMALL))
    assert str(refused.value).splitlines() == [
        "the job cannot start from savepoint 7 of job payments:",
        "  - `before` is not in the program, and 20 rows would be lost. If it is `after` now, say "
        '`.named("before")` there',
        "To give up the state that would be lost: --allow-non-restored",
    ]


def test_a_state_that_was_renamed_is_refused_with_the_name_that_would_keep_it() -> None:
    with pytest.raises(StateMismatch, match="If it is `tiny` now, call it `small` again"):
        restore(processed(**SMALL), processed(tiny=SMALL["small"]))
    with pytest.raises(StateMismatch) as refused:
        restore(processed(**SMALL), processed(tiny=fj.value_state(str)))
    assert "If it is" not in str(refused.value)


def test_state_without_an_operator_is_left_behind_where_that_is_allowed() -> None:
    plan = restore(processed("before", **SMALL), processed("after", **SMALL), allow=True)
    assert fates(plan)["before"] is Fate.DROPPED
    assert fates(plan)["after"] is Fate.NEW
    assert plan.lines[-1] == "  dropped   before: 20 rows of state left behind"


def test_giving_up_a_source_is_said_to_mean_that_all_is_read_again() -> None:
    def program(name: str) -> JobGraph:
        job = fj.Job("payments")
        rows = [Payment("a", 1.0, datetime(2026, 1, 1))]
        job.write(job.read(fj.from_rows(rows, Payment)).named(name), fj.files.jsonl("out"))
        return compile_job(job)

    old = snapshot(program("in"))
    with pytest.raises(StateMismatch) as refused:
        plan_restore(program("other"), old)
    assert (
        "`in` is not in the program, and how far it was read would be lost: a source that takes its place begins anew, "
        'and what was read counts twice. If it is `other` now, say `.named("in")` there'
    ) in str(refused.value)
    plan = plan_restore(program("other"), old, allow_non_restored=True)
    assert any("dropped   in: how far it was read is left behind" in line for line in plan.lines)


def test_an_operator_that_had_no_rows_may_go() -> None:
    plan = restore(processed("before", **SMALL), processed("after", **SMALL), rows=0)
    assert fates(plan)["before"] is Fate.GONE


def test_a_sink_with_pending_results_may_never_go() -> None:
    old = snapshot(graph(processed(**SMALL)), pending=2)
    job = fj.Job("payments")
    source = job.read(fj.from_rows([Payment("a", 1.0, datetime(2026, 1, 1))], Payment)).named("in")
    job.write(processed(**SMALL)(source), fj.discard())
    with pytest.raises(
        StateMismatch, match=r"`out` is not in the program, and has 4 results written"
    ) as e:
        plan_restore(compile_job(job), old, allow_non_restored=True)
    assert "--allow-non-restored" not in str(e.value)


def test_a_sink_whose_results_are_all_published_may_go() -> None:
    """Rows of its section `pending` are no state of their own: the coordinator says what of them is pending still."""
    old = snapshot(graph(processed(**SMALL)))
    part = PartEntry(section="pending", distribution="union", rows=2, length=0, crc32=0)
    tasks = []
    for task in old.tasks:
        states = [
            msgspec.structs.replace(s, parts=[part]) if s.kind == "sink" else s
            for s in task.operators
        ]
        tasks.append(msgspec.structs.replace(task, operators=states))
    old = msgspec.structs.replace(old, tasks=tasks)
    job = fj.Job("payments")
    source = job.read(fj.from_rows([Payment("a", 1.0, datetime(2026, 1, 1))], Payment)).named("in")
    job.write(processed(**SMALL)(source), fj.discard(), name="other")
    assert fates(plan_restore(compile_job(job), old))["out"] is Fate.GONE


def test_a_sink_with_pending_results_is_told_the_name_that_would_keep_them() -> None:
    """The identity of a sink without a name comes from what is before it, and changes with that."""

    def program(name: str) -> JobGraph:
        job = fj.Job("payments")
        rows = [Payment("a", 1.0, datetime(2026, 1, 1))]
        source = job.read(fj.from_rows(rows, Payment)).named("in")
        job.write(processed(name, **SMALL)(source), fj.files.jsonl("out"))
        job.write(source, fj.files.jsonl("copy"))
        return compile_job(job, parallelism=2)

    old = snapshot(program("before"), rows=0, pending=1)
    uid = next(s.uid for s in old.tasks[0].operators if s.name == "jsonl out")
    with pytest.raises(StateMismatch) as refused:
        plan_restore(program("after"), old)
    assert f'If it is `jsonl out` now, say `name="{uid}"` in its `write` there.' in str(
        refused.value
    )
    assert "flowjob savepoint take" in str(refused.value)


def test_a_sink_that_stays_makes_its_pending_results_visible_first() -> None:
    plan = restore(processed(**SMALL), processed(**SMALL), pending=2)
    assert plan.lines[-1] == "  restored  out: 0 rows of state, 4 results to be made visible first"


CHANGES: dict[str, tuple[Build, Build, str]] = {
    "kind": (
        processed(**SMALL),
        windowed(HOURS, n=fj.count()),
        "it was a keyedprocess, and is a windowaggregate now",
    ),
    "window": (
        windowed(HOURS, n=fj.count()),
        windowed(fj.session(gap=timedelta(hours=1)), n=fj.count()),
        "the window was `",
    ),
    "window size": (
        windowed(HOURS, n=fj.count()),
        windowed(fj.tumbling(timedelta(hours=2)), n=fj.count()),
        "the window was `",
    ),
    "aggregates": (
        windowed(HOURS, n=fj.count()),
        windowed(HOURS, n=fj.count(), sum=fj.sum("amount")),
        r"the aggregates were `n = count\(\)`",
    ),
    "key": (
        processed(**SMALL),
        lambda s: s.key_by("amount").process(function(**SMALL)).named("middle"),
        "the key was `account: string`, and is `amount: double` now",
    ),
    "retyped": (
        processed(**SMALL),
        processed(**states(Retyped)),
        r"state `small`: column amount int32 -> string",
    ),
    "required": (
        processed(**SMALL),
        processed(**states(Required)),
        "column by added as string, but old rows have no value",
    ),
    "not every int is a float": (
        processed(**states(int)),
        processed(**states(float)),
        "state `small`: int64 -> double",
    ),
    "state kind": (
        processed(**SMALL),
        processed(small=fj.list_state(Old)),
        "state `small` was a value state, and is a list state now",
    ),
    "pickled": (
        processed(**states(object)),
        processed(**SMALL),
        r"state `small`: was kept as pickled objects, and is declared as struct",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("allow", [False, True])
def test_state_that_would_be_read_as_something_else_is_refused(change: str, allow: bool) -> None:
    old, new, reason = CHANGES[change]
    with pytest.raises(StateMismatch, match=reason):
        restore(old, new, allow=allow)


ALLOWED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "narrower to wider in lists": (
        {"small": fj.list_state(Old)},
        {"small": fj.list_state(Wider)},
        [
            "state `small`: column amount int32 -> int64",
            "state `small`: column fee added as double, its default in old rows",
            "state `small`: column by added as string, its default in old rows",
        ],
    ),
    "values of maps": (
        {"small": fj.map_state(str, Old)},
        {"small": fj.map_state(str, Wider)},
        [
            "state `small`: column amount int32 -> int64",
            "state `small`: column fee added as double, its default in old rows",
            "state `small`: column by added as string, its default in old rows",
        ],
    ),
    "a time to live": (
        {"small": fj.value_state(int)},
        {"small": fj.value_state(int, ttl=timedelta(hours=1))},
        [],
    ),
    "a reducing state": (
        {"small": fj.value_state(int)},
        {"small": fj.reducing_state(int, max)},
        [],
    ),
    "one state more": (
        {"small": fj.value_state(int)},
        {"small": fj.value_state(int), "large": fj.value_state(int)},
        ["state `large` is new and starts empty"],
    ),
}


@pytest.mark.parametrize("change", ALLOWED)
def test_changes_that_old_rows_can_follow_are_allowed_and_told(change: str) -> None:
    old, new, told = ALLOWED[change]
    assert details(restore(processed(**old), processed(**new))) == told


def test_a_key_may_become_wider() -> None:
    def keyed(type: Any) -> Build:
        return lambda s: (
            s.select(account=fj.col("amount").cast(type))
            .key_by("account")
            .agg(n=fj.count())
            .named("middle")
        )

    plan = restore(keyed(fj.Int32), keyed(fj.Int64))
    assert details(plan) == ["the key account: int32 -> int64"]
    with pytest.raises(StateMismatch, match="the key was `account: int64`"):
        restore(keyed(fj.Int64), keyed(fj.Int32))


def test_a_state_that_is_declared_no_more_is_lost_only_where_that_is_allowed() -> None:
    old = processed(small=fj.value_state(int), large=fj.value_state(int))
    with pytest.raises(StateMismatch, match="state `large` is not declared any more, and 20 rows"):
        restore(old, processed(small=fj.value_state(int)))
    plan = restore(old, processed(small=fj.value_state(int)), allow=True)
    assert details(plan) == ["state `large` is not declared any more: 20 rows left behind"]
    plan = restore(old, processed(small=fj.value_state(int)), rows=0)
    assert details(plan) == ["state `large` is not declared any more"]


def test_another_max_parallelism_is_refused() -> None:
    old = snapshot(graph(processed(**SMALL), max_parallelism=64))
    with pytest.raises(StateMismatch, match=r"max_parallelism 64.*job has 128.*max_parallelism=64"):
        plan_restore(graph(processed(**SMALL)), old)


def test_rows_in_flight_need_the_operator_they_were_on_their_way_to() -> None:
    program = graph(processed(**SMALL))
    (uid,) = (v.nodes[0].uid for v in program.vertices[1:] if v.nodes[0].uid)
    old = snapshot(program)
    entry = PartEntry(
        section="waiting", distribution="split", rows=1, length=0, crc32=0, meta={"operator": uid}
    )
    old.tasks[0] = msgspec.structs.replace(old.tasks[0], in_flight=[entry])
    assert plan_restore(graph(processed(**SMALL), parallelism=3), old)

    def other(stream: fj.Stream[Payment]) -> fj.Stream[Any]:
        return stream.key_by("account").agg(n=fj.count()).named("totals")

    with pytest.raises(StateMismatch, match="holds rows on their way between tasks"):
        plan_restore(graph(other), old, allow_non_restored=True)


def test_every_reason_is_listed_at_once() -> None:
    old = processed(small=fj.value_state(int), large=fj.value_state(int))
    new = processed(small=fj.list_state(int))
    with pytest.raises(StateMismatch) as refused:
        restore(old, new)
    lines = str(refused.value).splitlines()
    assert [line[:4] for line in lines[1:-1]] == ["  - ", "  - "]
    assert lines[-1].endswith("(what else is listed has to be changed first)")


def test_a_snapshot_that_says_nothing_of_its_operators_is_matched_by_uid_and_kind() -> None:
    plan = restore(processed(**SMALL), processed(**states(Retyped)), operators=[])
    assert details(plan) == []
    with pytest.raises(StateMismatch, match="it was a keyedprocess"):
        restore(processed(**SMALL), windowed(HOURS, n=fj.count()), operators=[])


def test_two_phases_change_no_state() -> None:
    """The rule may choose otherwise at another parallelism, and must be free to."""
    one, many = (graph(windowed(HOURS, n=fj.count()), parallelism=p) for p in (1, 4))
    assert state_layouts(one) == state_layouts(many)


def test_moves_say_for_each_operator_what_becomes_of_which_state() -> None:
    old = snapshot(graph(processed(**SMALL)), rows=5)
    same, scaled = (
        {
            m.operator: m
            for m in moves_of(plan_restore(graph(processed(**SMALL), parallelism=n), old))
        }
        for n in (2, 3)
    )
    middle = scaled["middle"]
    assert (same["middle"].outcome, middle.outcome) == ("Kept", "Redistributed")
    assert (middle.subtasks_before, middle.subtasks_after) == (2, 3)
    assert [(part.name, part.rows, part.bytes) for part in middle.states] == [("small", 10, 200)]
    assert (middle.rows, middle.bytes) == (10, 200)


def test_moves_are_told_also_where_state_does_not_fit() -> None:
    old = snapshot(graph(processed(**SMALL)))
    other = judge_restore(graph(processed(**states(Retyped))), old)
    assert other.problem is not None
    outcomes = {move.operator: move.outcome for move in moves_of(other.plan)}
    assert outcomes == {"in": "Redistributed", "middle": "Incompatible", "out": "Kept"}
    renamed = judge_restore(graph(processed("after", **SMALL)), old)
    assert renamed.problem is not None
    outcomes = {move.operator: move.outcome for move in moves_of(renamed.plan)}
    assert (outcomes["middle"], outcomes["after"]) == ("Dropped", "New")
