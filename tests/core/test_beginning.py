"""What a cluster's job begins with: every combination of wishes and facts, and that none is empty by mistake."""

from __future__ import annotations

from itertools import product

import pytest

from flowjob.core.beginning import (
    Beginning,
    Code,
    Expected,
    FromLog,
    FromNothing,
    FromPlace,
    Known,
    Mode,
    Prior,
    Refused,
    Wish,
    begin,
    parallelism_of,
)
from flowjob.core.snapshot_log import Begin, Claim, Commit, LogState, Record, fold

COMMITTED = Commit(1, 6, "checkpoints/6/g1/manifest.json")
NEW = fold([Claim(1, "r")])
BEGUN = fold([Claim(1, "r"), Begin(1, "a")])
BEGUN_FROM = fold([Claim(1, "r"), Begin(1, "a", "s3://b/savepoints/s")])
WITH_STATE = fold([Claim(1, "r"), Begin(1, "a"), COMMITTED])
ANEW = fold([Claim(1, "r"), Begin(1, "a"), COMMITTED, Begin(1, "b")])


def log_of(revision: int, *records: Record) -> LogState:
    """A run that a revision has begun."""
    return fold([Claim(1, "r", job_revision=revision), Begin(1, "a", "", "x", revision), *records])


PATH, OWN, ELSEWHERE, EARLIER = "s3://b/p", "s3://b/own/checkpoints/7", "s3://c/sp", "s3://b/old/9"


@pytest.mark.parametrize(
    ("wish", "known", "beginning"),
    [
        # The very first start.
        (Wish(), Known(NEW), FromNothing()),
        (Wish(path=PATH), Known(NEW), FromPlace(PATH)),
        (Wish(Mode.SNAPSHOT, PATH), Known(NEW), FromPlace(PATH)),
        (Wish(Mode.EMPTY), Known(NEW), FromNothing()),
        # There is state: the log has it.
        (Wish(), Known(WITH_STATE), FromLog()),
        (Wish(path=PATH), Known(WITH_STATE), FromLog()),
        (Wish(), Known(BEGUN_FROM), FromLog()),
        (Wish(Mode.SNAPSHOT, PATH), Known(WITH_STATE), FromPlace(PATH)),
        (Wish(expected=OWN), Known(WITH_STATE, Expected(own=True, id=6)), FromLog()),
        (Wish(expected=OWN), Known(WITH_STATE, Expected(own=True)), FromLog()),
        (Wish(expected=ELSEWHERE), Known(WITH_STATE, Expected(own=False)), FromLog()),
        # A run that began from nothing, and whose JobManager died before its first checkpoint.
        (Wish(), Known(BEGUN), FromNothing()),
        (Wish(path=PATH), Known(BEGUN), FromPlace(PATH)),
        # A new place for the job: what is expected lies in the old one.
        (Wish(expected=ELSEWHERE), Known(NEW, Expected(own=False, found=True)), FromPlace(ELSEWHERE)),
        # What was asked for once is not done again.
        (Wish(Mode.SNAPSHOT, PATH, since=3), Known(log_of(3, COMMITTED)), FromLog()),
        (Wish(Mode.SNAPSHOT, PATH, since=3), Known(log_of(4, COMMITTED)), FromLog()),
        (Wish(Mode.SNAPSHOT, PATH, since=3), Known(log_of(2, COMMITTED)), FromPlace(PATH)),
        (Wish(Mode.EMPTY, since=3), Known(log_of(3, COMMITTED)), FromLog()),
        (Wish(Mode.EMPTY, since=3), Known(log_of(3)), FromNothing()),
        # An earlier job of that name.
        (Wish(prior=Prior.RESUME), Known(NEW, earlier=(EARLIER,)), FromPlace(EARLIER)),
        (Wish(path=PATH, prior=Prior.RESUME), Known(NEW, earlier=(EARLIER,)), FromPlace(EARLIER)),
        (Wish(prior=Prior.IGNORE), Known(NEW, earlier=(EARLIER,)), FromNothing()),
        (Wish(path=PATH, prior=Prior.IGNORE), Known(NEW, earlier=(EARLIER,)), FromPlace(PATH)),
        (Wish(), Known(BEGUN, earlier=(EARLIER,)), FromNothing()),
    ],
)  # fmt: skip
def test_what_is_begun_with(wish: Wish, known: Known, beginning: Beginning) -> None:
    assert begin(wish, known) == beginning


@pytest.mark.parametrize(
    ("wish", "known", "code", "said"),
    [
        (Wish(), Known(NEW, earlier=(EARLIER,)), Code.PRIOR_STATE, EARLIER),
        (Wish(path=PATH), Known(NEW, earlier=(EARLIER,)), Code.PRIOR_STATE, "priorState"),
        (Wish(Mode.SNAPSHOT, PATH), Known(NEW, earlier=(EARLIER,)), Code.PRIOR_STATE, "Ignore"),
        (Wish(Mode.SNAPSHOT), Known(NEW), Code.SNAPSHOT, "restore.path"),
        (Wish(Mode.EMPTY), Known(WITH_STATE), Code.STATE_MISSING, "snapshot 6"),
        (Wish(), Known(ANEW), Code.STATE_MISSING, "up to 6"),
        (Wish(expected=OWN), Known(NEW, Expected(own=True)), Code.STATE_MISSING, OWN),
        (Wish(expected=OWN), Known(NEW, Expected(own=True, found=True)), Code.STATE_MISSING, OWN),
        (Wish(expected=OWN), Known(BEGUN, Expected(own=True)), Code.STATE_MISSING, "knows of none"),
        (Wish(expected=ELSEWHERE), Known(NEW, Expected(own=False)), Code.STATE_MISSING, ELSEWHERE),
        (Wish(expected=OWN), Known(WITH_STATE, Expected(own=True, id=7)), Code.STATE_MISSING, "is 6"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(wish: Wish, known: Known, code: Code, said: str) -> None:
    refused = begin(wish, known)
    assert isinstance(refused, Refused)
    assert refused.code is code
    assert said in refused.reason


def test_nothing_begins_empty_where_there_was_state_except_by_the_users_word() -> None:
    logs = (NEW, BEGUN, BEGUN_FROM, WITH_STATE, ANEW)
    expectations = (
        (None, None),
        (OWN, Expected(own=True)),
        (OWN, Expected(own=True, id=6, found=True)),
        (ELSEWHERE, Expected(own=False, found=True)),
        (ELSEWHERE, Expected(own=False)),
    )
    for mode, path, prior, log, (expected, found), earlier in product(
        Mode, (None, PATH), Prior, logs, expectations, ((), (EARLIER,))
    ):
        known = Known(log, found, earlier)
        decision = begin(Wish(mode, path, 0, expected, prior), known)
        if decision != FromNothing():
            continue
        assert not has_state(log)
        if mode is not Mode.EMPTY:
            assert expected is None
            assert not earlier or prior is Prior.IGNORE or log.run


def has_state(log: LogState) -> bool:
    return bool(log.highest or log.source)


@pytest.mark.parametrize(
    ("revision", "asked", "found"), [(3, 1, 4), (3, 2, None), (4, 1, None), (2, 1, None)]
)
def test_a_jobmanager_that_is_started_again_goes_on_with_the_parallelism_the_job_was_rescaled_to(
    revision: int, asked: int, found: int | None
) -> None:
    rescaled = fold([Claim(1, "r", "", 3, 1, 1), Claim(2, "r", "", 3, 4, 1)])
    assert parallelism_of(rescaled, revision, asked) == found
    assert parallelism_of(NEW, 0, 1) is None
