"""What users may import is what `__all__` says, in each public module."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import flowjob
import flowjob.sinks
import flowjob.sockets
import flowjob.testing

PUBLIC_MODULES = [flowjob, flowjob.sinks, flowjob.sockets, flowjob.testing]


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda m: m.__name__)
def test_every_exported_name_exists_and_is_documented(module: types.ModuleType) -> None:
    for name in module.__all__:
        value = getattr(module, name)
        assert getattr(value, "__doc__", None), f"{module.__name__}.{name} says nothing of itself"


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda m: m.__name__)
def test_no_other_name_is_public(module: types.ModuleType) -> None:
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public <= set(module.__all__)


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda m: m.__name__)
def test_names_are_listed_once_and_in_order(module: types.ModuleType) -> None:
    names = list(module.__all__)
    assert names == sorted(set(names))


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse(Path(flowjob.__file__).with_suffix(".pyi").read_text())
    imported = {a.name for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert imported == set(flowjob.__all__)


def test_importing_flowjob_loads_nothing_heavy() -> None:
    code = "import flowjob, sys; print([m for m in ('pyarrow', 'numba', 'flowjob.runtime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_any_public_name_can_be_the_first_one_that_a_program_uses() -> None:
    code = """
import os, sys, flowjob, pyarrow
for home in flowjob._HOMES:
    if os.fork() == 0:
        getattr(flowjob, flowjob._HOMES[home].split()[0])
        os._exit(0)
    if os.wait()[1]:
        sys.exit(home)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_star_import_hides_nothing_built_in_by_surprise() -> None:
    """`max`, `min` and `sum` are ours on purpose: the documented import is `import flowjob as fj`."""
    import builtins

    assert {n for n in flowjob.__all__ if hasattr(builtins, n)} == {"max", "min", "sum"}
