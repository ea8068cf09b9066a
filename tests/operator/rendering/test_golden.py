"""What Kubernetes is told about the examples is what stands in golden/, word for word."""

from __future__ import annotations

import pytest
import yaml

from tests.operator.rendering.golden import FOLDER, documents, dumped

RENDERED = documents()


@pytest.mark.parametrize("name", RENDERED)
def test_it_is_rendered_as_written(name: str) -> None:
    written = (FOLDER / f"{name}.yaml").read_text()
    assert dumped(RENDERED[name]) == written, (
        "if that is meant: python -m tests.operator.rendering.golden"
    )


@pytest.mark.parametrize("name", RENDERED)
def test_the_yaml_says_the_same_as_the_data(name: str) -> None:
    assert list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text())) == RENDERED[name]


def test_nothing_else_lies_there() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(RENDERED)
