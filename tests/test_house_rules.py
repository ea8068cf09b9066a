"""The size rules of the house hold everywhere; exceptions are listed by name, with a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house_rules import Function, code_lines, complaints_of, parameter_count

ROOT = Path(__file__).parent.parent
PARTS = ("worker", "operator", "api", "bench", "examples")

ALLOWED = {
    "worker/flowjob/errors.py": "its docstring is the tree of exceptions, drawn",
}
"""Places that may break a rule. This list may only shrink."""


def modules() -> list[str]:
    found = (p for part in PARTS for p in (ROOT / part).rglob("*.py"))
    return sorted(p.relative_to(ROOT).as_posix() for p in found if ".egg-info" not in p.parts)


@pytest.mark.parametrize("path", modules())
def test_each_module_keeps_the_size_rules(path: str) -> None:
    found = complaints_of(path, (ROOT / path).read_text())
    assert [str(c) for c in found if c.place not in ALLOWED] == []


def test_the_allow_list_only_names_places_that_break_a_rule() -> None:
    found = {c.place for path in modules() for c in complaints_of(path, (ROOT / path).read_text())}
    assert set(ALLOWED) <= found, "these have been mended: take them off the list"


def test_no_module_is_called_utils() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [m for m in modules() if Path(m).name in vague] == []


def first_function(source: str) -> Function:
    function = ast.parse(source).body[0]
    assert isinstance(function, Function)
    return function


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(a, b): ...", 2),
        ("def f(self, a, /, b): ...", 2),
        ("def f(cls): ...", 0),
        ("def f(a, *, b, c): ...", 1),
        ("def _f(a, *, b, c): ...", 3),
        ("def __init__(self, a, *, b): ...", 1),
        ("async def f(a, *rest, **options): ...", 1),
    ],
)
def test_keyword_only_parameters_of_public_functions_do_not_count(source: str, count: int) -> None:
    assert parameter_count(first_function(source)) == count


def test_a_docstring_does_not_make_a_function_long() -> None:
    assert code_lines(first_function('def f():\n    """One.\n\n    Two."""\n    return 1\n')) == 2


@pytest.mark.parametrize(
    ("path", "source", "place"),
    [
        ("a.py", "x = 1\n", "a.py"),
        ("a.py", '"""One line."""\n', "a.py"),
        ("a.py", '"""Two\nlines."""\n' + "x = 1\n" * 400, "a.py"),
        (
            "a.py",
            '"""Two\nlines."""\nclass C:\n    def f(self):\n' + "        g()\n" * 50,
            "a.py::C.f",
        ),
        ("a.py", '"""Two\nlines."""\ndef f(a, b, c, d, e, f, g): ...\n', "a.py::f"),
    ],
)
def test_each_rule_is_checked(path: str, source: str, place: str) -> None:
    assert [c.place for c in complaints_of(path, source)] == [place]


def test_the_first_module_of_a_package_may_say_its_rule_in_one_line() -> None:
    assert complaints_of("p/__init__.py", '"""Pure functions over data."""\n') == []
