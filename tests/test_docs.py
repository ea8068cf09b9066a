"""Documents cannot rot: what they name exists, and what exists for users is documented."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import flowjob
from flowjob import errors
from flowjob.cli.everything import app
from flowjob.runtime import task_set
from flowjob.runtime.exchange import ExchangeSettings
from flowjob.runtime.jobmanager.request import Listeners
from flowjob.runtime.minicluster import LocalOptions
from flowjob.runtime.running_task import RunningTask
from flowjob.runtime.task_metrics import TaskMetrics

ROOT = Path(__file__).parent.parent
DOCUMENTS = [p for p in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if p.is_file()]

ROOTS = ("worker/", "tests/", "docs/", "examples/", "bench/", "operator/", "api/", ".ci/")
"""A backticked word that begins so is a path from the root of the repository."""

PACKAGE_FOLDERS = ("core/", "plan/", "kernels/", "runtime/", "connectors/", "testing/", "cli/")
"""And one that begins so lies in the package."""

PATH = re.compile(r"[\w.\-/]+")


def named_paths(text: str) -> set[str]:
    """Paths in backticks; patterns (`*`, `…`, `<name>`) are examples and no claims."""
    words = {w.rstrip("/") if w.endswith("//") else w for w in re.findall(r"`([^`\s]+)`", text)}
    return {w for w in words if w.startswith((*ROOTS, *PACKAGE_FOLDERS)) and PATH.fullmatch(w)}


def links(text: str) -> set[str]:
    """Targets of Markdown links to files of ours."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return {t for t in found if "://" not in t and not t.startswith("mailto:")}


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    missing = {
        word
        for word in named_paths(text)
        if not (ROOT / word).exists() and not (ROOT / "worker/flowjob" / word).exists()
    }
    assert missing == set()
    assert {t for t in links(text) if not (document.parent / t).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text()):
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def error_classes() -> list[type[errors.FlowjobError]]:
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.FlowjobError)
    ]


def test_every_error_code_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/errors.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)) | {"FLOWJOB"}
    assert documented == {c.code for c in error_classes()}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [c.code for c in error_classes()]
    assert sorted(codes) == sorted(set(codes))


def test_every_error_stands_in_the_tree_of_its_module() -> None:
    assert {
        c.__name__ for c in error_classes() if c.__name__ not in (errors.__doc__ or "")
    } == set()


def test_every_target_of_the_makefile_is_documented() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    documented = set(re.findall(r"^([a-z0-9-]+):.*## .+$", text, re.MULTILINE))
    assert documented == set(phony.split())


def test_ci_calls_targets_that_exist() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = re.findall(r"^make (.*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert called
    assert {t for line in called for t in line.split() if "=" not in t} <= set(targets)


def test_every_command_and_option_is_documented() -> None:
    from typer.main import get_command

    from flowjob.cli.everything import app

    text = (ROOT / "docs/command-line.md").read_text()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"## flowjob {name}\n" in text
        options = [o for p in command.params for o in (*p.opts, *p.secondary_opts)]
        missing = {o for o in options if o.startswith("-") and f"`{o}" not in text}
        assert missing == set(), f"flowjob {name}"


def test_every_exit_status_is_documented() -> None:
    from flowjob.cli import exits

    text = (ROOT / "docs/command-line.md").read_text()
    documented = {int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert documented == {value for name, value in vars(exits).items() if name.startswith("EXIT_")}


# -- the README's programs, and what is configured and measured


def readme_programs() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_the_program_of_the_readme_is_the_example_it_names() -> None:
    _docstring, program = (ROOT / "examples/quickstart.py").read_text().split('"""\n\n', 1)
    assert readme_programs()[0] == program


def test_the_test_of_the_readme_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    names: dict[str, Any] = {}
    exec(readme_programs()[1], names)  # noqa: S102 - our own page
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def documented(page: str) -> set[str]:
    """The words in backticks of a page."""
    return set(re.findall(r"`([^`\s]+)`", (ROOT / page).read_text()))


def test_every_metric_is_documented() -> None:
    sources = inspect.getsource(TaskMetrics.snapshot) + inspect.getsource(RunningTask.metrics)
    names = set(re.findall(r'"([a-z_]+)":', sources))
    assert {"busy_us", "buffered_bytes", "late_rows"} <= names
    assert names <= documented("docs/performance.md")


@pytest.mark.parametrize(
    "options",
    [ExchangeSettings, LocalOptions, Listeners, task_set.RunOptions],
    ids=lambda o: o.__name__,
)
def test_every_option_of_a_run_is_documented(options: Any) -> None:
    names = {f.name for f in dataclasses.fields(options)} - {"run_id"}
    assert names <= documented("docs/performance.md")


def test_every_option_of_the_command_line_is_documented() -> None:
    text = (ROOT / "docs/command-line.md").read_text()
    group: Any = typer.main.get_command(app)
    for name, command in {"": group, **group.commands}.items():
        assert f"flowjob {name}".strip() in text
        for parameter in command.params:
            missing = [o for o in parameter.opts if o.startswith("-") and o not in text]
            assert missing == [], f"{name}: {missing}"


def test_every_environment_variable_is_documented() -> None:
    sources = "".join(p.read_text() for p in (ROOT / "worker/flowjob").rglob("*.py"))
    assert set(re.findall(r"\bFLOWJOB_[A-Z_]+\b", sources)) <= documented("docs/performance.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_name_of_ours_that_a_document_uses_exists(document: Path) -> None:
    chains = set(re.findall(r"\bfj((?:\.[A-Za-z_]\w*)+)", document.read_text()))
    missing = set()
    for chain in chains:
        found: Any = flowjob
        for name in chain[1:].split("."):
            found = getattr(found, name, None)
            if found is None:
                missing.add(f"fj{chain}")
                break
    assert missing - {"fj.name"} == set()


def public_methods() -> set[str]:
    streams = (flowjob.Stream, flowjob.KeyedStream, flowjob.WindowedStream, flowjob.Job)
    return {n for cls in streams for n in dir(cls) if not n.startswith("_")}


def test_every_public_name_stands_in_the_list_of_them() -> None:
    assert set(flowjob.__all__) - documented("docs/api.md") == set()
    # On a keyed stream, `fields` are for the engine; on others, agg and reduce only say what is missing.
    assert public_methods() - documented("docs/api.md") <= {"fields", "name", "max_parallelism"}


def test_every_page_is_linked_from_the_index() -> None:
    pages = {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= links((ROOT / "docs/index.md").read_text())
