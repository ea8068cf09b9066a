"""Answers by termination message: they always fit, and what is none is not taken for one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.cluster.preflight_answer import (
    MOST_BYTES,
    PreflightAnswer,
    StorageAnswer,
    encode,
    read_preflight,
    read_storage,
)
from flowjob.cluster.state_moves import StateMove, StatePart

sentences = st.lists(
    st.builds(lambda text, times: text * times, st.text(max_size=40), st.integers(0, 400)),
    max_size=30,
)


def move(operator: str, states: list[str]) -> StateMove:
    parts = [StatePart(name=name, rows=1, bytes=9) for name in states]
    return StateMove(operator=operator, outcome="Kept", rows=1, bytes=9, states=parts)


def test_an_answer_keeps_its_fields() -> None:
    answer = PreflightAnswer(
        accepted=True, notes=("one",), digest="ab", slots={"default": 4, "io": 2}, restore_from="s3://b/x",
        state=(move("count", ["seen"]),),
    )  # fmt: skip
    assert read_preflight(encode(answer)) == answer
    assert answer.needed == 6
    storage = StorageAnswer(done=True, path="s3://b/x", kind="Savepoint", size=1 << 40)
    assert read_storage(encode(storage)) == storage


@settings(max_examples=60)
@given(
    sentences,
    sentences,
    st.dictionaries(st.text(max_size=60), st.integers(0, 9), max_size=80),
    st.lists(st.builds(move, st.text(max_size=60), st.lists(st.text(max_size=20))), max_size=60),
)
def test_every_answer_fits_and_keeps_its_first_problem(
    problems: list[str], notes: list[str], slots: dict[str, int], state: list[StateMove]
) -> None:
    answer = PreflightAnswer(
        accepted=False,
        problems=tuple(problems),
        notes=tuple(notes),
        slots=slots,
        state=tuple(state),
    )
    data = encode(answer)
    assert len(data) <= MOST_BYTES
    read = read_preflight(data)
    assert read is not None
    assert not read.accepted
    assert read.needed == answer.needed
    if problems:
        assert problems[0].startswith(read.problems[0].removesuffix("…"))


@given(st.text(max_size=20_000))
def test_a_long_problem_of_storage_is_cut(problem: str) -> None:
    assert len(encode(StorageAnswer(done=False, problem=problem))) <= MOST_BYTES


@given(st.binary(max_size=60))
def test_what_is_no_answer_is_none(data: bytes) -> None:
    assert read_preflight(data) is None
    assert read_storage("{}") is None
    assert read_preflight(b'{"accepted": ') is None
