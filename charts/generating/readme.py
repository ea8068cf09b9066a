"""The chart's README: an introduction, and a table of all settings from the comments in values.yaml.

Pure: text in, text out. A setting without a comment is a ValueError, so that none is left undocumented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

INDENT = 2


@dataclass(frozen=True)
class Setting:
    """`section` is the heading above it; `default` as the chart has it."""

    path: str
    section: str
    about: str
    default: Any


@dataclass(frozen=True)
class _Line:
    """A key of values.yaml, with the comment above it."""

    path: tuple[str, ...]
    section: str
    about: str


def settings(text: str) -> list[Setting]:
    """All settings of values.yaml, in its order. Raises ValueError for one without a comment."""
    values = yaml.safe_load(text)
    found = []
    documented: list[tuple[str, ...]] = []
    for line in _lines(text):
        value = _at(values, line.path)
        if any(line.path[: len(path)] == path for path in documented):
            continue  # part of a value that is documented as a whole
        if line.about:
            documented.append(line.path)
            found.append(Setting(".".join(line.path), line.section, line.about, value))
        elif not (isinstance(value, dict) and value):
            raise ValueError(f"{'.'.join(line.path)} has no comment in values.yaml")
    return found


def _lines(text: str) -> Iterator[_Line]:
    section, about = "", []
    path: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("## "):
            section, about = stripped.removeprefix("## "), []
        elif stripped.startswith("#"):
            about.append(stripped.removeprefix("#").strip())
        elif not stripped:
            about = []
        elif not stripped.startswith("- "):
            depth = (len(line) - len(line.lstrip())) // INDENT
            path = [*path[:depth], stripped.split(":", 1)[0]]
            yield _Line(tuple(path), section, " ".join(about))
            about = []


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def readme(introduction: str, text: str) -> str:
    """`introduction` and, below it, a table for each section of values.yaml."""
    parts = [introduction.rstrip("\n"), "", "## Values"]
    section = None
    for setting in settings(text):
        if setting.section != section:
            section = setting.section
            parts += ["", f"### {section}", "", "| value | default | |", "|---|---|---|"]
        default = json.dumps(setting.default, ensure_ascii=False)
        parts.append(f"| `{setting.path}` | `{_cell(default)}` | {_cell(setting.about)} |")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
