"""The kernel cache: read-only, moved, stale and missing; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import types

import flowjob.kernels
from flowjob.kernels.compile import I64S, I64S_OUT, kernel
from flowjob.kernels.partitioning import groups_kernel

PROGRAM = """
from numba.core import types
from flowjob.kernels import compile
from flowjob.kernels.compile import I64S, helper, kernel
from helpers import twice

@kernel(types.int64(I64S))
def total(values):
    result = 0
    for value in values:
        result += twice(value)
    return result

import numpy as np
print(total(np.arange(4)), compile.misses(), compile.unsaved())
"""
HELPERS = """
from flowjob.kernels.compile import helper

@helper
def twice(value):
    return value * FACTOR
"""


@pytest.fixture
def run(tmp_path):
    source = Path(flowjob.kernels.__file__).parents[2]
    write_helper(tmp_path, 2)

    def run_program(**environment: str) -> str:
        (tmp_path / "program.py").write_text(PROGRAM)
        done = subprocess.run(
            [sys.executable, tmp_path / "program.py"],
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "FLOWJOB_"))},
                "PYTHONPATH": f"{source}{os.pathsep}{tmp_path}",
                "FLOWJOB_KERNEL_CACHE": str(tmp_path / "cache"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr

    return run_program


def write_helper(directory: Path, factor: int) -> None:
    (directory / "helpers.py").write_text(HELPERS.replace("FACTOR", str(factor)))


@pytest.mark.slow
def test_a_kernel_is_compiled_once_and_then_loaded_even_from_a_read_only_directory(run, tmp_path):
    assert run() == "12 ['__main__.total'] []"
    assert run() == "12 [] []"
    cache = tmp_path / "cache"
    for file in cache.iterdir():
        file.chmod(0o444)
    cache.chmod(0o555)
    before = [(f.name, f.stat().st_mtime_ns) for f in (cache, *sorted(cache.iterdir()))]
    assert run(FLOWJOB_KERNELS="require") == "12 [] []"
    # Root may write anywhere, so that nothing was tried shows only in what is there.
    assert [(f.name, f.stat().st_mtime_ns) for f in (cache, *sorted(cache.iterdir()))] == before
    moved = tmp_path / "moved"
    cache.chmod(0o755)
    cache.rename(moved)
    assert run(FLOWJOB_KERNELS="require", FLOWJOB_KERNEL_CACHE=str(moved)) == "12 [] []"


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_still_lets_the_kernel_run_and_is_reported(run, tmp_path):
    (tmp_path / "file").write_text("")
    out = run(FLOWJOB_KERNEL_CACHE=str(tmp_path / "file"))
    assert out == "12 ['__main__.total'] ['__main__.total']"


@pytest.mark.slow
def test_a_changed_helper_in_another_file_is_compiled_anew(run, tmp_path):
    run()
    write_helper(tmp_path, 5)
    assert run() == "30 ['__main__.total'] []"


@pytest.mark.slow
def test_another_processor_is_a_miss_and_a_miss_is_an_error_where_kernels_are_required(run):
    run()
    refused = run(FLOWJOB_KERNELS="require", NUMBA_CPU_NAME="generic")
    assert "KernelNotCompiled" in refused
    assert "flowjob setup" in refused
    assert "generic" in refused


def test_a_kernel_takes_read_only_arrays_where_it_reads():
    hashes = np.arange(3, dtype=np.uint64)
    hashes.flags.writeable = False
    groups_kernel(hashes, np.uint64(1 << 63), np.uint64(2), out := np.empty(3, np.int32))
    assert out.tolist() == [0, 1, 0]


def test_a_kernel_refuses_arguments_it_was_not_compiled_for():
    with pytest.raises(TypeError):
        groups_kernel([1, 2], 3, 4, 5)


def test_a_kernel_is_a_plain_call(monkeypatch, tmp_path):
    @kernel(types.void(I64S, I64S_OUT))
    def doubled(values, out):
        for i in range(values.shape[0]):
            out[i] = 2 * values[i]

    doubled(np.arange(3), out := np.empty(3, np.int64))
    assert out.tolist() == [0, 2, 4]
