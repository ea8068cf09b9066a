"""From what a run begins: every combination of facts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import msgspec
import pytest

from flowjob.core.recovery import (
    Candidate,
    Facts,
    From,
    Health,
    NothingLeft,
    Ready,
    Refuse,
    ReplayCommit,
    StartFresh,
    StopOrphaned,
    resolve,
    stand_ins,
)
from flowjob.core.snapshot_log import Begin, Claim, Commit, LogState, Record, Retire, apply, fold

NEWEST = Candidate(6, "checkpoints/6")
SOURCE = Candidate(2, "savepoints/s")
PATH = Candidate(4, "elsewhere/p")


def log(*records: Record, run: str = "", source: str = "") -> LogState:
    begun = (Begin(1, run, source),) if run else ()
    return fold([Claim(1, "r"), *begun, *records])


COMMITTED = Commit(1, 6, "checkpoints/6/manifest.json", 1)
EMPTY = log()
BEGUN = log(run="a")
BEGUN_FROM = log(run="a", source="savepoints/s")
WITH_STATE = log(COMMITTED, run="a")


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        # A new run.
        (Facts(1, EMPTY, "a"), StartFresh()),
        (Facts(1, WITH_STATE, "b"), StartFresh()),
        (Facts(1, WITH_STATE, "b", From.LATEST, newest=NEWEST), Ready(NEWEST)),
        (Facts(1, BEGUN_FROM, "b", From.LATEST, source=SOURCE), Ready(SOURCE)),
        (Facts(1, EMPTY, "a", From.PATH, path=PATH), Ready(PATH)),
        (Facts(1, WITH_STATE, "b", From.PATH, path=PATH, newest=NEWEST), Ready(PATH)),
        # A JobManager that takes over a run: what was asked for was done then.
        (Facts(1, WITH_STATE, "a", newest=NEWEST), Ready(NEWEST)),
        (Facts(1, WITH_STATE, "a", From.PATH, path=PATH, newest=NEWEST), Ready(NEWEST)),
        (Facts(1, WITH_STATE, "a", expected=True, newest=NEWEST), Ready(NEWEST)),
        (Facts(1, BEGUN, "a"), StartFresh()),
        (Facts(1, BEGUN_FROM, "a", From.PATH, path=PATH, source=SOURCE), Ready(SOURCE)),
    ],
)
def test_where_all_is_well_the_run_begins_where_it_should(facts: Facts, decision: object) -> None:
    assert resolve(facts) == decision


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts(1, None, "a", log_trouble="access denied"), "cannot be read (access denied)"),
        (Facts(1, EMPTY, "a", expected=True), "would start from nothing"),
        (Facts(1, WITH_STATE, "b", expected=True), "would start from nothing"),
        (Facts(1, EMPTY, "a", From.LATEST), "no committed snapshot of this job"),
        (Facts(1, EMPTY, "a", From.LATEST, strays=True), "its log is gone or in another place"),
        (Facts(1, EMPTY, "a", From.PATH), "no snapshot was named"),
        (Facts(1, BEGUN, "a", expected=True), "no snapshot of this run was ever committed"),
        (Facts(1, BEGUN, "a", expected=True, strays=True), "its log is gone"),
        (Facts(1, WITH_STATE, "a"), "snapshot 6 is the newest, but"),
        (Facts(1, WITH_STATE, "a", source=SOURCE), "snapshot 6 is the newest, but"),
        (Facts(1, BEGUN_FROM, "a"), "began from savepoints/s, which is not there any more"),
    ],
)
def test_state_that_was_expected_and_is_missing_is_refused(facts: Facts, words: str) -> None:
    decision = resolve(facts)
    assert isinstance(decision, Refuse)
    assert words in decision.reason


def test_who_does_not_lead_stops_before_anything_else() -> None:
    newer = fold([Claim(1, "r"), Claim(2, "r"), Claim(3, "r")])
    for asked, expected in product(From, (False, True)):
        facts = Facts(2, newer, "a", asked, expected=expected)
        assert resolve(facts) == StopOrphaned(3)


END = replace(NEWEST, last=True)
UNPUBLISHED = replace(END, pending=("files",))


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        (Facts(1, WITH_STATE, "a", newest=END), NothingLeft(END)),
        (Facts(1, WITH_STATE, "a", expected=True, newest=END), NothingLeft(END)),
        # The program may have changed meanwhile: no state is taken from there any more.
        (Facts(1, WITH_STATE, "a", newest=END, lost=("window-1",)), NothingLeft(END)),
        (Facts(1, WITH_STATE, "a", newest=UNPUBLISHED), ReplayCommit(UNPUBLISHED)),
        # What another run has come to its end with is a beginning like any other.
        (Facts(1, WITH_STATE, "b", From.LATEST, newest=END), Ready(END)),
        (
            Facts(1, EMPTY, "b", From.PATH, path=replace(PATH, last=True)),
            Ready(replace(PATH, last=True)),
        ),
        (
            Facts(1, BEGUN_FROM, "a", source=replace(SOURCE, last=True)),
            Ready(replace(SOURCE, last=True)),
        ),
    ],
)
def test_a_run_that_has_come_to_its_end_and_published_all_is_over(
    facts: Facts, decision: object
) -> None:
    assert resolve(facts) == decision


@pytest.mark.parametrize("health", [Health.MISSING, Health.DAMAGED])
def test_an_end_that_cannot_be_read_is_none(health: Health) -> None:
    facts = Facts(1, WITH_STATE, "a", newest=replace(END, health=health))
    assert isinstance(resolve(facts), Refuse)


WAYS = {
    "newest": Facts(1, WITH_STATE, "a", newest=NEWEST),
    "latest": Facts(1, WITH_STATE, "b", From.LATEST, newest=NEWEST),
    "path": Facts(1, EMPTY, "b", From.PATH, path=PATH),
    "source": Facts(1, BEGUN_FROM, "a", source=SOURCE),
}


def with_candidate(facts: Facts, **changes: object) -> Facts:
    """The same, with something else about the snapshot that is begun from."""
    for name in ("path", "newest", "source"):
        candidate = getattr(facts, name)
        if candidate is not None:
            return replace(facts, **{name: replace(candidate, **changes)})  # type: ignore[arg-type]
    raise AssertionError("no candidate")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("health", [Health.MISSING, Health.DAMAGED])
def test_a_snapshot_that_is_missing_or_damaged_is_refused_and_never_replaced_by_another(
    way: str, health: Health
) -> None:
    facts = with_candidate(WAYS[way], health=health, detail="checksum of task-1-0")
    decision = resolve(facts)
    assert isinstance(decision, Refuse)
    assert f"is {health.value}: checksum of task-1-0" in decision.reason


def test_a_refusal_names_what_else_there_is() -> None:
    older = log(Commit(1, 5, "m", 1), COMMITTED, run="a")
    facts = Facts(1, older, "a", newest=replace(NEWEST, health=Health.DAMAGED))
    decision = resolve(facts)
    assert isinstance(decision, Refuse)
    assert "Checkpoints 5 are kept" in decision.reason
    assert "published again" in decision.reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lost", [(), ("window-1",)])
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("pending", [(), ("files",), ("files", "gone")])
@pytest.mark.parametrize("known", [None, frozenset({"files"})])
def test_lost_state_is_refused_unless_allowed_and_unpublished_results_always(
    way: str,
    lost: tuple[str, ...],
    allowed: bool,
    pending: tuple[str, ...],
    known: frozenset[str] | None,
) -> None:
    facts = with_candidate(WAYS[way], pending=pending)
    decision = resolve(replace(facts, lost=lost, allow_lost=allowed, known=known))
    if lost and not allowed:
        assert isinstance(decision, Refuse)
        assert "window-1" in decision.reason
        assert "--allow-non-restored" in decision.reason
    elif "gone" in pending and known is not None:
        assert isinstance(decision, Refuse)
        assert "results of gone that are not published" in decision.reason
    else:
        assert isinstance(decision, ReplayCommit if pending else Ready)


@pytest.mark.parametrize("run", ["a", "b"])
@pytest.mark.parametrize("state", [None, EMPTY, BEGUN, BEGUN_FROM, WITH_STATE])
@pytest.mark.parametrize("asked", From)
def test_whatever_is_known_a_fresh_start_never_meets_expectations_of_state(
    run: str, state: LogState | None, asked: From
) -> None:
    candidates = [None, *(replace(NEWEST, health=h) for h in Health)]
    for newest, source, path, strays in product(candidates, candidates, candidates, (False, True)):
        facts = Facts(1, state, run, asked, path, newest, source, strays=strays, expected=True)
        decision = resolve(facts)
        assert not isinstance(decision, StartFresh)
        if isinstance(decision, Ready):
            assert decision.candidate.health is Health.GOOD


# What may stand in for the newest


def begun(*results: int, first: int = 1) -> LogState:
    """A run with checkpoints 1, 2, … (from `first`), which brought so many results."""
    records: list[Record] = [Claim(1, "r"), Begin(1, "a")]
    for number, count in enumerate(results, first):
        records.append(Commit(1, number, f"checkpoints/{number}/manifest.json", results=count))
    return fold(records)


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ((), []),
        ((0,), []),
        ((0, 0), [1]),
        ((2, 0), [1]),  # what the first brought, whoever begins from it has, too
        ((0, 2), []),
        ((0, -1), []),  # an older log does not say
        ((0, 0, 0), [2, 1]),
        ((0, 2, 0), [2]),
        ((3, 3, 0, 0), [3, 2]),
    ],
)
def test_older_checkpoints_may_stand_in_while_nothing_was_published_since(
    results: tuple[int, ...], found: list[int]
) -> None:
    assert [c.snapshot for c in stand_ins(begun(*results))] == found


def test_checkpoints_of_other_runs_never_stand_in() -> None:
    log = apply(begun(0, 0), Begin(1, "b"))
    assert stand_ins(log) == ()
    log = apply(log, Commit(1, 3, "m", results=0))
    assert stand_ins(log) == ()
    log = apply(log, Commit(1, 4, "m", results=0))
    assert [c.snapshot for c in stand_ins(log)] == [3]


def test_nobody_knows_what_a_retired_checkpoint_between_them_has_published() -> None:
    log = apply(begun(0, 0, 0, 0), Retire(1, 2))
    assert [c.snapshot for c in stand_ins(log)] == [3]
    log = apply(begun(0, 0, 0, 0), Retire(1, 1))
    assert [c.snapshot for c in stand_ins(log)] == [3, 2]


def test_a_log_that_does_not_say_where_its_run_began_has_no_stand_ins() -> None:
    log = msgspec.structs.replace(begun(0, 0), began_above=-1)
    assert stand_ins(log) == ()
