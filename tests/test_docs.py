"""Documents cannot rot: what they name exists, and what exists for users is documented."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from flowjob import errors

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
    documented = set(re.findall(r"^([a-z]+):.*## .+$", text, re.MULTILINE))
    assert documented == set(phony.split())


def test_ci_calls_targets_that_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = re.findall(r"^make (.*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert called
    assert {t for line in called for t in line.split()} <= set(targets)


def test_every_command_and_option_is_documented() -> None:
    from typer.main import get_command

    from flowjob.cli.main import app

    text = (ROOT / "docs/cli.md").read_text()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"## flowjob {name}\n" in text
        options = [o for p in command.params for o in (*p.opts, *p.secondary_opts)]
        missing = {o for o in options if o.startswith("-") and f"`{o}" not in text}
        assert missing == set(), f"flowjob {name}"


def test_every_exit_status_is_documented() -> None:
    from flowjob.cli import exits

    text = (ROOT / "docs/cli.md").read_text()
    documented = {int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert documented == {value for name, value in vars(exits).items() if name.startswith("EXIT_")}
