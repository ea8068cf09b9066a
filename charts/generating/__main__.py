"""`python -m charts.generating` (`make chart`): writes the generated files of the chart.

The one part of this package that touches files. tests/chart/test_generated.py fails when what is committed differs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from charts.generating.argocd import settings
from charts.generating.dashboards import dashboards
from charts.generating.readme import readme
from charts.generating.rules import rules
from charts.generating.schema import schema

ROOT = Path(__file__).parent.parent.parent
CHART = "charts/flowjob"
ARGOCD = "examples/kubernetes/argocd"
SCRIPTS = {"FlowJob": "flowjob-health.lua", "FlowSnapshot": "flowsnapshot-health.lua"}


def generated(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Paths from the root of the repository, and the text that belongs there."""
    values = (root / CHART / "values.yaml").read_text()
    introduction = (root / "charts/generating/introduction.md").read_text()
    yield f"{CHART}/README.md", readme(introduction, values)
    yield f"{CHART}/files/rules.yaml", rules()
    yield f"{CHART}/values.schema.json", json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
    for name, dashboard in dashboards().items():
        yield f"{CHART}/dashboards/{name}", json.dumps(dashboard, indent=1) + "\n"
    scripts = {kind: (root / ARGOCD / file).read_text() for kind, file in SCRIPTS.items()}
    yield f"{ARGOCD}/values.yaml", settings(scripts)


def main() -> None:
    for name, text in generated():
        path = ROOT / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"{name} written\n")


if __name__ == "__main__":
    main()
