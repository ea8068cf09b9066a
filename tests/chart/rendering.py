"""Renders the chart with helm, as golden files and objects.

`python -m tests.chart.rendering` writes the golden files anew."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CHART = ROOT / "charts/flowjob"
HELM = ROOT / ".venv/bin/helm"
KUBERNETES = "1.34.4"
NAMESPACE = "platform"

Object = dict[str, Any]


class Failed(Exception):
    """What helm has said."""


def helm(*arguments: str, stdin: str = "") -> str:
    """Raises Failed."""
    done = subprocess.run(
        [HELM, *arguments], check=False, input=stdin, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise Failed(done.stderr + done.stdout)
    return done.stdout


def text(
    values: Object | None = None, *, release: str = "flowjob", namespace: str = NAMESPACE
) -> str:
    """What `helm install` would apply, hooks too. Raises Failed."""
    return helm(
        *("template", release, str(CHART), "--namespace", namespace),
        *("--kube-version", KUBERNETES, "--values", "-"),
        stdin=json.dumps(values or {}),
    )


@functools.cache
def case(name: str) -> str:
    """Rendered with a file of tests/chart/values."""
    return text(yaml.safe_load((HERE / "values" / f"{name}.yaml").read_text()))


def objects(rendered: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(rendered) if found]


def pick(found: list[Object], kind: str, name: str = "") -> Object:
    """The only one of its kind, the REST service's apart, or of that name."""
    component = "app.kubernetes.io/component"
    (one,) = [
        o
        for o in found
        if o["kind"] == kind
        and (
            name == o["metadata"]["name"]
            or (not name and o["metadata"].get("labels", {}).get(component) != "service")
        )
    ]
    return one


def case_names() -> list[str]:
    return sorted(path.stem for path in (HERE / "values").glob("*.yaml"))


def golden(name: str) -> Path:
    return HERE / "golden" / f"{name}.yaml"


if __name__ == "__main__":
    for each in case_names():
        golden(each).write_text(case(each))
