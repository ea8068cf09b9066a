"""docs/command-line.md names every command, option and exit status there is, and none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from flowjob.cli import exits
from flowjob.cli.everything import app
from flowjob.errors import FlowjobError, ServiceError

PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text()

OF_CLICK = {"help", "install-completion", "show-completion", "version"}


def commands(group: Any, above: str = "flowjob") -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups included."""
    yield above, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{above} {name}")


ALL = dict(commands(typer.main.get_command(app)))


def test_every_command_is_named() -> None:
    assert {
        words for words in ALL if f"`{words}" not in PAGE and f"## {words}\n" not in PAGE
    } == set()


def test_every_option_of_every_command_is_named() -> None:
    missing = {
        f"{words} {option}"
        for words, command in ALL.items()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-") and f"`{option}" not in PAGE and f" {option}" not in PAGE
    }
    assert missing == set()


def test_no_command_is_named_that_is_not_there() -> None:
    named = set(re.findall(r"`flowjob ([a-z]+)", PAGE)) | set(re.findall(r"## flowjob (\w+)", PAGE))
    assert named <= {words.split()[1] for words in ALL if " " in words}


def test_no_option_is_named_that_is_not_there() -> None:
    there = {
        option
        for command in ALL.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {f"--{name}" for name in OF_CLICK}
    assert named - there == set()


def statuses() -> dict[int, str]:
    table = PAGE.partition("## Exit status")[2]
    return {int(n): text for n, text in re.findall(r"^\| (\d+) \| (.+) \|$", table, re.MULTILINE)}


def test_the_table_has_every_exit_status_and_no_other() -> None:
    there = {value for name, value in vars(exits).items() if name.startswith("EXIT_")}
    assert set(statuses()) == there


def kinds(of: type[FlowjobError]) -> Iterator[type[FlowjobError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def test_every_error_of_the_service_ends_with_a_status_of_the_table() -> None:
    found = {exits.exit_status(kind("x")) for kind in kinds(ServiceError)}
    assert found == {1, 2, 4, 5, 6, 7, 8}
    assert found <= set(statuses())


def test_every_command_answers_a_program_but_those_that_are_processes_or_scripts() -> None:
    without = {
        words.removeprefix("flowjob ")
        for words, command in ALL.items()
        if not hasattr(command, "commands")
        and not any("--json" in parameter.opts for parameter in command.params)
    }
    pods = {
        "preflight",
        *(f"storage {verb}" for verb in ("verify", "import", "dispose", "discard")),
    }
    assert without - pods == {"run", "jobmanager", "taskmanager", "setup", "completion"}
