"""The job's log: what its records amount to, and which may be appended."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core.snapshot_log import (
    RETIRED_KEPT,
    Begin,
    Claim,
    Commit,
    Finish,
    LogState,
    Published,
    Record,
    Retire,
    apply,
    fold,
    refusal,
)


def commit(generation: int, snapshot: int, *, savepoint: bool = False) -> Commit:
    return Commit(generation, snapshot, f"checkpoints/{snapshot}/manifest.json", 99, savepoint)


def test_a_log_tells_who_leads_what_is_committed_and_where_a_restart_begins() -> None:
    state = fold(
        [
            Claim(1, "r1"),
            Begin(1, "run-a", "savepoints/s"),
            commit(1, 5),
            commit(1, 6),
            commit(1, 7),
            Retire(1, 5),
            Claim(2, "r2"),
            commit(2, 9, savepoint=True),
        ]
    )
    assert (state.generation, state.revision, state.run) == (2, "r2", "run-a")
    assert state.source == "savepoints/s"
    assert [c.snapshot for c in state.committed] == [6, 7, 9]
    assert (state.retained, state.retired, state.highest) == ((6, 7), (5,), 9)
    assert state.newest == commit(2, 9, savepoint=True)
    assert state.stopped
    assert state.find(5) is None
    assert state.find(6) == commit(1, 6)


def test_what_is_published_is_said_of_the_newest_and_remembered_through_later_runs() -> None:
    state = fold([Claim(1, "r"), Begin(1, "a"), commit(1, 3), commit(1, 4, savepoint=True)])
    assert refusal(state, Published(1, 3)) is not None
    assert apply(state, Published(1, 3)).published == ()
    state = apply(state, Published(1, 4))
    assert state.published == (4,)
    assert refusal(state, Published(0, 4)) is not None
    state = apply(apply(apply(state, Begin(1, "b", "x")), commit(1, 5)), Published(1, 5))
    assert state.published == (4, 5)
    assert refusal(apply(state, Begin(1, "c")), Published(1, 5)) is not None


def test_a_new_run_does_not_go_back_beyond_its_beginning() -> None:
    state = fold([Claim(1, "r"), Begin(1, "a"), commit(1, 3), Claim(2, "r"), Begin(2, "b", "x")])
    assert (state.newest, state.source, state.retained, state.highest) == (None, "x", (3,), 3)
    assert not state.stopped
    assert refusal(state, commit(2, 3)) is not None
    assert apply(state, commit(2, 4)).newest == commit(2, 4)
    assert not apply(state, commit(2, 4)).stopped


BASE: list[Record] = [
    Claim(1, "r"),
    Begin(1, "a"),
    commit(1, 3),
    commit(1, 4, savepoint=True),
    Claim(2, "r"),
    commit(2, 6),
]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (Claim(3, "r"), None),
        (Claim(2, "r"), "a claim of generation 2 after 2"),
        (Claim(4, "r"), "a claim of generation 4 after 2"),
        (Begin(2, "b"), None),
        (Begin(1, "b"), "generation 1 leads no more, 2 does"),
        (commit(2, 7), None),
        (commit(2, 9), None),
        (commit(2, 6), "snapshot 6 is not above 6: no id is used twice"),
        (commit(2, 5), "snapshot 5 is not above 6: no id is used twice"),
        (commit(1, 7), "generation 1 leads no more, 2 does"),
        (commit(3, 7), "generation 3 has not claimed leadership"),
        (Retire(2, 3), None),
        (Retire(2, 5), None),  # never committed: what it left is to be deleted
        (Retire(1, 3), "generation 1 leads no more, 2 does"),
        (Retire(2, 4), "snapshot 4 is a savepoint: only who took it deletes it"),
        (Retire(2, 6), "snapshot 6 may be needed: nothing newer is committed"),
        (Retire(2, 8), "snapshot 8 may be needed: nothing newer is committed"),
    ],
    ids=repr,
)
def test_which_records_may_follow(record: Record, why: str | None) -> None:
    state = fold(BASE)
    assert refusal(state, record) == why
    assert (apply(state, record) == state) is (why is not None)


def test_nothing_may_be_said_before_a_claim() -> None:
    for record in (Begin(1, "a"), commit(1, 1), Retire(1, 1)):
        assert refusal(LogState(), record) == "generation 1 has not claimed leadership"


generations = st.integers(1, 4)
records = st.one_of(
    st.builds(Claim, generations, st.just("r")),
    st.builds(Begin, generations, st.sampled_from("ab")),
    st.builds(commit, generations, st.integers(1, 30), savepoint=st.booleans()),
    st.builds(Retire, generations, st.integers(1, 30)),
    st.builds(Published, generations, st.integers(1, 30)),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(records, max_size=40))
def test_whatever_is_in_a_log_its_state_is_sound_and_survives_storage(said: list[Record]) -> None:
    state = LogState()
    for record in said:
        before, state = state, apply(state, record)
        assert state.generation >= before.generation
        assert state.highest >= before.highest
        assert [c.snapshot for c in state.committed] == sorted(
            {c.snapshot for c in state.committed}
        )
        if state.newest_id:
            assert state.newest is not None
        assert len(set(state.published)) == len(state.published)
        assert set(state.published) - set(before.published) <= {before.newest_id}
        gone = {c.snapshot for c in before.committed} - {c.snapshot for c in state.committed}
        assert all(g < state.newest_id for g in gone)
        copy = msgspec.convert(msgspec.json.decode(msgspec.json.encode(record)), Record)  # type: ignore[arg-type]
        assert copy == record
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(state)), LogState) == state


def test_the_state_stays_small_however_long_the_log() -> None:
    state = fold([Claim(1, "r"), Begin(1, "a")])
    for snapshot in range(1, 500):
        state = apply(state, commit(1, snapshot))
        if snapshot > 3:
            state = apply(state, Retire(1, snapshot - 3))
    assert state.retained == (497, 498, 499)
    assert len(state.retired) == RETIRED_KEPT
    assert len(msgspec.json.encode(state)) < 1000


def test_records_are_readable_by_people_and_take_later_fields() -> None:
    assert msgspec.to_builtins(commit(1, 2)) == {
        "record": "commit",
        "generation": 1,
        "snapshot": 2,
        "manifest": "checkpoints/2/manifest.json",
        "checksum": 99,
    }
    later = {"record": "retire", "generation": 1, "snapshot": 2, "by": "a later version"}
    assert msgspec.convert(later, Record) == Retire(1, 2)  # type: ignore[arg-type]


def test_the_log_says_where_its_leader_is_and_that_a_run_is_over_until_another_one_begins() -> None:
    led = fold([Claim(1, "r", "here:1"), Begin(1, "a"), Claim(2, "r", "there:1")])
    assert (led.address, led.ended) == ("there:1", "")
    assert apply(led, Finish(1, "succeeded")).ended == ""  # from one that leads no more
    over = apply(led, Finish(2, "succeeded"))
    assert over.ended == "succeeded"
    assert apply(over, Claim(3, "r")).ended == "succeeded"
    assert apply(over, Begin(2, "b")).ended == ""


def test_a_jobmanager_of_an_older_revision_may_not_claim_and_one_of_the_same_may() -> None:
    state = fold([Claim(1, "r"), Claim(2, "r", "a:1", 3, 4, 2)])
    assert (state.job_revision, state.parallelism, state.asked) == (3, 4, 2)
    for revision, may in [(0, False), (2, False), (3, True), (4, True)]:
        claim = Claim(3, "r", "b:1", revision)
        assert (refusal(state, claim) is None) is may
        assert apply(state, claim).address == ("b:1" if may else "a:1")
    assert "revision 3 has led the job, and this is revision 2" in str(
        refusal(state, Claim(3, "r", "", 2))
    )


def test_a_run_is_known_by_its_jobmanagers_name_and_ends_with_a_reason() -> None:
    state = fold(
        [Claim(1, "r"), Begin(1, "x-1", "", "7", 7), Finish(1, "failed", "it broke", "USER_CODE")]
    )
    assert (state.run, state.name, state.begun_by) == ("x-1", "7", 7)
    assert (state.ended, state.reason, state.code) == ("failed", "it broke", "USER_CODE")
    state = apply(state, Begin(1, "x-1", "s", "8", 8))
    assert (state.name, state.ended, state.reason, state.code) == ("8", "", "", "")
