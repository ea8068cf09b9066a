"""Names of objects: people's words become one safe segment each, and every name is parsed back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.core.job_events import TaskId
from flowjob.runtime.storage import paths
from flowjob.runtime.storage.paths import JobPaths

WORDS = st.text(max_size=200) | st.sampled_from(
    [".", "..", "", "~", "a/b", "a%2Fb", ".hidden", "x" * 300, "é" * 300, "é" * 300 + "!", "CON\0"]
)
AWKWARD = ("a", "a/b", "..", "", "é" * 200, "x/../y")


def encodable(word: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in word)


@given(WORDS.filter(encodable))
def test_a_word_becomes_one_short_segment_that_is_neither_hidden_nor_a_way_up(word: str) -> None:
    segment = paths.segment(word)
    assert paths.check_name(segment) == segment
    assert "/" not in segment
    assert len(segment.encode()) <= paths.LONGEST_WORD


@given(WORDS.filter(encodable), WORDS.filter(encodable))
def test_different_words_become_different_segments(one: str, other: str) -> None:
    assert (paths.segment(one) == paths.segment(other)) == (one == other)


@given(st.text(max_size=13).filter(encodable))
def test_a_short_word_is_read_back_from_its_segment(word: str) -> None:
    assert paths.word(paths.segment(word)) == word


@pytest.mark.parametrize("root", ["", "job", "tenant/job"])
def test_log_entries_ascend_with_their_numbers_and_are_parsed_back(root: str) -> None:
    job = JobPaths(root)
    names = [job.log_entry(n) for n in (1, 2, 9, 10, 99, 1000)]
    assert names == sorted(names)
    assert [job.sequence_of(n) for n in names] == [1, 2, 9, 10, 99, 1000]


@pytest.mark.parametrize(
    "name",
    ["log/1.json", "log/000000000001.txt", "log/x.json", "log/000000000001.json/a", "log/٣.json"],
)
def test_what_is_no_log_entry_has_no_number(name: str) -> None:
    assert JobPaths("").sequence_of(name) is None
    assert JobPaths("j").sequence_of(name) is None


def test_objects_tell_which_snapshot_they_belong_to() -> None:
    job = JobPaths.of("my job")
    assert job.checkpoint_of(f"{job.checkpoint(12)}/x") == 12
    assert job.checkpoint_of(f"{job.checkpoint(12, 3)}/x") == 12
    assert job.checkpoint_of(job.checkpoint(12)) is None  # a directory is no object
    assert job.checkpoint_of(job.log_entry(12)) is None
    assert job.checkpoint_of("other/checkpoints/12/x") is None
    assert job.checkpoint_of(f"{job.checkpoints}/+1/x") is None
    assert job.savepoint_of(f"{job.savepoint('a/b')}/manifest.json") == "a/b"
    assert job.savepoint_of(job.log_entry(1)) is None
    assert job.shared_generation_of(job.shared_file(3, "t-_")) == 3
    assert job.shared_generation_of(f"{job.checkpoint(3)}/x") is None


def test_no_name_is_the_directory_of_another() -> None:
    """File systems cannot hold both, and stores on file systems neither."""
    names = {"probe": ""}
    for word in AWKWARD:
        job = JobPaths.of(word)
        for name in (
            job.log_entry(1),
            f"{job.checkpoint(1)}/{paths.MANIFEST}",
            f"{job.checkpoint(1, 2)}/{paths.MANIFEST}",
            f"{job.checkpoint(1)}/{paths.task_object(TaskId(0, 0), 1)}",
            f"{job.checkpoint(1)}/{paths.in_flight_object(TaskId(0, 0), 1)}",
            job.shared_file(1, "t"),
            job.probe("t"),
            *(
                f"{job.savepoint(s)}/{name}"
                for s in AWKWARD
                for name in (
                    paths.MANIFEST,
                    *(paths.section_object(u, v, 0) for u in AWKWARD for v in AWKWARD),
                )
            ),
        ):
            assert paths.check_name(name) not in names
            names[name] = word
    directories = {n.rsplit("/", i)[0] for n in names for i in range(1, n.count("/") + 1)}
    assert directories.isdisjoint(names)


def test_names_in_a_manifest_are_relative_to_its_directory() -> None:
    job = JobPaths.of("j")
    here = job.checkpoint(7)
    shared = job.shared_file(2, "abc")
    assert paths.relative(here, shared) == "../../shared/2/abc"
    assert paths.join(here, "../../shared/2/abc") == shared
    assert paths.join(here, "task-0-1-1.state") == f"{here}/task-0-1-1.state"
    assert paths.relative("", "a/b") == "a/b"
    assert paths.join("", "a/b") == "a/b"


@pytest.mark.parametrize(
    ("directory", "name"),
    [("j/x/7", "../../../../x"), ("j/x/7", "/x"), ("", ".."), ("", "."), ("", ""), ("a", "../..")],
)
def test_a_manifest_cannot_lead_out_of_the_store(directory: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be the name|not a relative name"):
        paths.join(directory, name)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/../b", "a/.b", ".", "a\0", "a\\b"])
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        paths.check_name(name)
