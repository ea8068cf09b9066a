"""The plans of the programs in tests/plan/jobs, as text. FLOWJOB_UPDATE_GOLDEN=1 writes them anew: read the diff."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

from flowjob.plan import compile_job, digest

JOBS = sorted(
    p.stem
    for p in (Path(__file__).parent / "jobs").glob("*.py")
    if p.stem not in ("__init__", "rows")
)


@pytest.mark.parametrize("name", JOBS)
def test_a_program_has_the_plan_that_is_kept_beside_it(name: str) -> None:
    job = import_module(f"tests.plan.jobs.{name}").job
    golden = Path(__file__).parent / "golden" / f"{name}.txt"
    text = job.explain(parallelism=2) + "\n"
    if os.environ.get("FLOWJOB_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", JOBS)
def test_the_same_program_has_the_same_digest_again_and_another_at_another_parallelism(
    name: str,
) -> None:
    job = import_module(f"tests.plan.jobs.{name}").job
    assert digest(compile_job(job, parallelism=2)) == digest(compile_job(job, parallelism=2))
    assert digest(compile_job(job, parallelism=2)) != digest(compile_job(job, parallelism=3))
