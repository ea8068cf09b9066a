"""Finding the job: scripts, modules, attributes, arguments, and what is said when it is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowjob.entrypoint import Entrypoint, load, locate
from flowjob.errors import BadArguments, PlanError, UnknownColumn
from flowjob.job import Job

Load = Callable[..., Job]


@pytest.fixture(autouse=True)
def modules_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def load_source(tmp_path: Path) -> Load:
    """Loads a job from the text of a script."""

    def loaded(source: str, *, target: str = "fj_probe.py", **args: object) -> Job:
        (tmp_path / "fj_probe.py").write_text("import flowjob.args as fj_args\n" + source)
        return load(locate(target, args, tmp_path))

    return loaded


JOB = "from flowjob.job import Job\n"


def test_a_script_defines_a_job(load_source: Load) -> None:
    assert load_source(JOB + "job = Job('a')").name == "a"


def test_a_script_defines_a_function_that_builds_the_job(load_source: Load) -> None:
    assert load_source(JOB + "def job() -> Job: return Job('a')").name == "a"


def test_a_function_gets_its_arguments_typed(load_source: Load) -> None:
    source = JOB + (
        "from __future__ import annotations\n"
        "class Args(fj_args.Args):\n    hours: int = 1\n"
        "def job(args: Args) -> Job: return Job(f'{args.hours!r}')"
    ).replace("from __future__ import annotations\n", "")
    assert load_source(source, hours="7").name == "7"
    assert load_source(source, target="fj_probe.py:job").name == "1"


def test_values_of_a_flowjob_need_not_be_text(load_source: Load) -> None:
    source = JOB + (
        "class Args(fj_args.Args):\n    names: list[str]\n    on: bool\n    n: int | None = 3\n"
        "def job(args: Args) -> Job: return Job(f'{args.names} {args.on} {args.n}')"
    )
    assert load_source(source, names=["a", "b"], on=True, n=None).name == "['a', 'b'] True None"


def test_an_attribute_may_be_named(load_source: Load) -> None:
    assert load_source(JOB + "hourly = Job('h')", target="fj_probe.py:hourly").name == "h"


def test_a_script_has_a_stable_module_name_and_is_imported_once(load_source: Load) -> None:
    first = load_source(JOB + "job = Job('a')")
    assert sys.modules["fj_probe"].job is first
    assert load_source(JOB + "job = Job('a')") is first


def test_what_lies_beside_a_script_can_be_imported(load_source: Load, tmp_path: Path) -> None:
    (tmp_path / "fj_beside.py").write_text("NAME = 'beside'")
    assert load_source("from fj_beside import NAME\n" + JOB + "job = Job(NAME)").name == "beside"


def test_a_script_inside_a_package_is_imported_as_its_module(tmp_path: Path) -> None:
    package = tmp_path / "fj_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "names.py").write_text("NAME = 'inside'")
    (package / "flights.py").write_text(f"from .names import NAME\n{JOB}job = Job(NAME)")
    found = locate("fj_package/flights.py", {}, tmp_path)
    assert found.sys_path == (str(tmp_path),)
    assert load(found).name == "inside"
    assert "fj_package.flights" in sys.modules


def test_a_module_is_found_from_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "fj_module.py").write_text(JOB + "job = Job('m')")
    assert load(locate("fj_module", {}, tmp_path)).name == "m"
    assert load(locate("fj_module:job", {}, tmp_path)).name == "m"


def test_an_entrypoint_means_the_same_in_another_directory(tmp_path: Path) -> None:
    (tmp_path / "fj_probe.py").write_text(JOB + "job = Job('a')")
    found = locate("fj_probe.py:job", {"a": "1"}, tmp_path)
    assert found == Entrypoint(f"{tmp_path}/fj_probe.py:job", {"a": "1"}, (str(tmp_path),))


def test_a_script_behind_a_link_keeps_the_name_that_is_the_same_everywhere(tmp_path: Path) -> None:
    """A mounted ConfigMap links its files to a directory whose name is another one in each pod."""
    hidden = tmp_path / "..2024_01_01"
    hidden.mkdir()
    (hidden / "fj_probe.py").write_text(JOB + "job = Job('linked')\n")
    (tmp_path / "fj_probe.py").symlink_to(hidden / "fj_probe.py")
    found = locate("fj_probe.py", {}, tmp_path)
    assert found.target == str(tmp_path / "fj_probe.py")
    assert load(found).name == "linked"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1", "`fj_probe.py` has no `job`. Define `job = fj.Job"),
        ("from flowjob.job import Job\nhourly = Job('h')", "say `fj_probe.py:hourly`"),
        ("from flowjob.job import Job\ndef build() -> Job: ...", "say `fj_probe.py:build`"),
        ("job = 3", "is int, not a fj.Job or a function"),
        ("def job(): pass", "returned NoneType, not the fj.Job it built"),
        ("def job(args): pass", "`class Args(fj.Args): …`"),
        ("def job(a, b): pass", "takes 2 parameters"),
    ],
)
def test_what_is_missing_is_said(load_source: Load, source: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_source(source)
    assert said in str(caught.value)


def test_arguments_for_a_finished_job_are_refused(load_source: Load) -> None:
    with pytest.raises(BadArguments, match="takes no arguments, but got hours"):
        load_source(JOB + "job = Job('a')", hours="1")


def test_arguments_for_a_function_without_any_are_refused(load_source: Load) -> None:
    with pytest.raises(BadArguments, match="takes no arguments, but got hours"):
        load_source(JOB + "def job(): return Job('a')", hours="1")


def test_an_error_while_importing_shows_the_users_lines_only(load_source: Load) -> None:
    with pytest.raises(PlanError) as caught:
        load_source("def broken():\n    return 1 / 0\nbroken()")
    message = str(caught.value)
    assert "ZeroDivisionError: division by zero" in message
    assert "return 1 / 0" in message
    assert "could not be imported" in message
    assert "entrypoint.py" not in message
    assert "fj_probe" not in sys.modules


def test_a_syntax_error_names_its_line(load_source: Load) -> None:
    with pytest.raises(PlanError, match="line 2"):
        load_source("job = = 1")


def test_a_plan_error_of_the_program_stays_what_it_is(load_source: Load) -> None:
    with pytest.raises(UnknownColumn):
        load_source("from flowjob.errors import UnknownColumn\nraise UnknownColumn('a', ['b'])")


def test_a_missing_script_names_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "flights.py").touch()
    with pytest.raises(PlanError, match=r"no file `flight.py`.*did you mean `flights.py`\?"):
        locate("flight.py", {}, tmp_path)


def test_a_missing_module_says_how_to_name_a_script(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no module `fj_nowhere`.*`fj_nowhere.py`"):
        load(locate("fj_nowhere", {}, tmp_path))


def test_a_module_missing_inside_the_script_is_the_users_error(load_source: Load) -> None:
    with pytest.raises(PlanError, match="No module named 'fj_nowhere'"):
        load_source("import fj_nowhere")


def test_a_script_may_have_the_name_of_a_standard_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(JOB + "job = Job(__name__)")
    assert load(locate("json.py", {}, tmp_path)).name == "flowjob_script_json"


def test_a_script_with_the_name_of_a_loaded_module_must_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("")
    with pytest.raises(PlanError, match="rename the script"):
        load(locate("pytest.py", {}, tmp_path))
