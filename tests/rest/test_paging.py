"""Pages of the list, and buckets of tokens: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob_api import paging
from flowjob_api.paging import Wanted
from flowjob_api.problems import Refused
from flowjob_api.rates import Rates
from flowjob_api.rows import Row, row_of
from flowjob_api.schemas.jobs import JobList, JobSummary

NAMES = st.lists(
    st.tuples(st.sampled_from(["a", "a-b", "b"]), st.text("abc-", min_size=1, max_size=4)),
    unique=True,
    max_size=12,
)


def jobs(names: list[tuple[str, str]]) -> list[Row]:
    return [
        row_of(
            JobSummary(
                namespace=n,
                name=m,
                uid=m,
                state="Running" if len(m) % 2 else "Failed",
                labels={"team": n},
            )
        )
        for n, m in sorted(names)
    ]


def page(rows: list[Row], wanted: Wanted) -> JobList:
    return JobList.model_validate_json(paging.page(rows, wanted))


@given(NAMES, st.integers(1, 5), NAMES)
def test_pages_show_each_job_once_also_when_others_come_and_go(
    names: list[tuple[str, str]], limit: int, others: list[tuple[str, str]]
) -> None:
    stays = set(names) - set(others)
    shown: list[tuple[str, str]] = []
    after, turn = None, 0
    while True:
        now = jobs(names if turn % 2 else sorted(stays | set(others)))
        found = page(now, Wanted(limit=limit, after=after))
        assert len(found.jobs) <= limit
        shown += [(job.namespace, job.name) for job in found.jobs]
        after, turn = found.next, turn + 1
        if after is None:
            break
    assert len(shown) == len(set(shown))
    assert shown == sorted(shown)
    if shown and turn > 1:
        assert stays <= set(shown) | {s for s in stays if s > max(shown)}


def test_filters_are_by_state_and_by_words_in_names_and_labels_and_counts_are_of_all() -> None:
    some = jobs([("shop", "orders"), ("shop", "payment"), ("bank", "rates")])
    assert [j.name for j in page(some, Wanted(states=("Failed",))).jobs] == ["orders"]
    assert [j.name for j in page(some, Wanted(text="TEAM=SHOP")).jobs] == ["orders", "payment"]
    assert [j.name for j in page(some, Wanted(text="ank")).jobs] == ["rates"]
    assert page(some, Wanted(limit=1)).counts == {"Failed": 1, "Running": 2}


@pytest.mark.parametrize("token", ["", "x", "W10=", "e30=", "é", "WyJhIl0=", "WzEsMl0=", "A" * 500])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(Refused, match="not a `next`"):
        page([], Wanted(after=token))


def test_a_bucket_fills_again_with_time_and_callers_have_their_own() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0], burst=2, per_minute=60, remembered=2)
    for _ in range(2):
        rates.take("a")
    with pytest.raises(Refused) as refused:
        rates.take("a")
    assert refused.value.headers["Retry-After"] == "1"
    rates.take("b")
    now[0] = 1.0
    rates.take("a")
    with pytest.raises(Refused):
        rates.take("a")
