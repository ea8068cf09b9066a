"""The mirror of FlowJobs: the same as a plain dictionary would hold, whatever is told in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowjob_api.clock import RealClock
from flowjob_api.services.cluster.mirror import Mirror
from flowjob_api.services.cluster.paths import JOBS, SNAPSHOTS

STEPS = st.lists(
    st.tuples(
        st.sampled_from([JOBS, SNAPSHOTS]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["note", "drop"]),
        st.integers(1, 3),
    ),
    max_size=25,
)


def an_object(namespace: str, name: str, version: int) -> dict[str, Any]:
    about = {
        "namespace": namespace, "name": name, "uid": f"{namespace}{name}{version % 2}", "resourceVersion": str(version),
        "managedFields": [1], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "1"},
    }  # fmt: skip
    return {"metadata": about, "spec": {"version": version}}


def expected(found: dict[str, Any]) -> dict[str, Any]:
    about = {k: v for k, v in found["metadata"].items() if k != "managedFields"}
    return {**found, "metadata": {**about, "annotations": {"kept": "1"}}}


@given(STEPS)
def test_it_holds_what_it_was_told_last_and_nothing_of_what_has_gone(
    steps: list[tuple[str, str, str, str, int]],
) -> None:
    kubernetes: Any = None
    mirror = Mirror(kubernetes, RealClock())
    model: dict[tuple[str, str, str], dict[str, Any]] = {}
    for plural, namespace, name, what, version in steps:
        before = dict(mirror.versions)
        known = model.get((plural, namespace, name))
        if what == "note":
            told = an_object(namespace, name, version)
            mirror.note(plural, told)
            model[plural, namespace, name] = told
        else:
            mirror._drop(plural, (namespace, name))
            model.pop((plural, namespace, name), None)
        is_news = known != model.get((plural, namespace, name)) and plural == JOBS
        assert (before.get(namespace) != mirror.versions.get(namespace)) == is_news

    namespaces = {key[1] for key in model if key[0] == JOBS}
    assert mirror.namespaces() == sorted(namespaces)
    assert set(mirror.versions) == namespaces
    for plural in (JOBS, SNAPSHOTS):
        for namespace in ("a", "b"):
            there = [expected(o) for k, o in sorted(model.items()) if k[:2] == (plural, namespace)]
            assert list(mirror.all(plural, namespace)) == there
    uids = {o["metadata"]["uid"]: expected(o) for k, o in model.items() if k[0] == JOBS}
    every = {f"{n}{m}{v}" for n in "ab" for m in "xyz" for v in (0, 1)}
    assert {uid: mirror.of_uid(uid) for uid in every} == {uid: uids.get(uid) for uid in every}
