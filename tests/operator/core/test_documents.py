"""docs/operations.md has every word that users see, docs/upgrades.md a test in every row."""

from __future__ import annotations

import re
from pathlib import Path

from flowjob_operator.core.reasons import Reason
from flowjob_operator.core.steps import Step
from flowjob_operator.resources.conditions import ConditionType
from flowjob_operator.resources.flowjob_status import Phase

ROOT = Path(__file__).parents[3]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
UPGRADES = (ROOT / "docs/upgrades.md").read_text()
CORE = ROOT / "operator/flowjob_operator/core"


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def first_cells(text: str) -> set[str]:
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_every_phase_condition_and_reason_is_documented_and_no_other() -> None:
    assert first_cells(section("Phases")) == {phase.value for phase in Phase}
    assert first_cells(section("Conditions")) == {kind.value for kind in ConditionType}
    assert first_cells(section("Reasons")) == {reason.value for reason in Reason}


def test_every_reason_is_given_somewhere() -> None:
    code = "\n".join(p.read_text() for p in CORE.glob("*.py") if p.name != "reasons.py")
    computed = {Reason.SUSPENDED, Reason.CANCELLED, Reason.FAILED}  # by the state's word
    for reason in set(Reason) - computed:
        assert f"Reason.{reason.name}" in code, reason


def test_every_row_of_a_decision_names_a_test() -> None:
    _, _, tables = UPGRADES.partition("## How a job is stopped")
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "---" not in line]
    headings = [row for row in rows if row.endswith("| test |")]
    assert len(headings) == 7
    for row in set(rows) - set(headings):
        assert re.search(r"`tests/[\w/]+\.py::\w+` \|$", row), row


def test_the_road_of_a_revision_has_its_steps() -> None:
    table, _, _ = UPGRADES.partition("## How a job is stopped")
    road = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert road == [step.value for step in list(Step)[: len(road)]]
