"""Quantities are written as the API server writes them, and mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob_operator.rendering.quantities import canonical, with_canonical
from flowjob_operator.resources.fields import quantity


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (2, "2"),
        ("2", "2"),
        ("0.5", "500m"),
        ("2000m", "2"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1.1Mi", "1153433600m"),
        ("1000M", "1G"),
        ("1500M", "1500M"),
        ("1000", "1k"),
        (0, "0"),
        ("0Gi", "0"),
        ("1e3", "1e3"),
        ("1.5e3", "1500"),
        ("12E2", "1200"),
        ("1Ei", "1Ei"),
        ("1E", "1E"),
        ("1n", "1n"),
        ("0.0000000001", "1n"),
    ],
)
def test_how_they_are_kept(written: str | int, kept: str) -> None:
    assert canonical(written) == kept


suffixes = st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"])


@given(st.integers(0, 10**6), suffixes)
def test_they_mean_the_same_and_stay_as_they_are(number: int, suffix: str) -> None:
    kept = canonical(f"{number}{suffix}")
    assert quantity(kept) == quantity(f"{number}{suffix}")
    assert canonical(kept) == kept


def test_in_an_object_only_quantities_are_touched() -> None:
    body = {
        "resources": {"requests": {"cpu": 2, "memory": "much"}},
        "volumes": [{"emptyDir": {"sizeLimit": "1024Mi"}}],
        "env": [{"name": "requests", "value": "0.5"}],
    }
    assert with_canonical(body) == {
        "resources": {"requests": {"cpu": "2", "memory": "much"}},
        "volumes": [{"emptyDir": {"sizeLimit": "1Gi"}}],
        "env": [{"name": "requests", "value": "0.5"}],
    }
