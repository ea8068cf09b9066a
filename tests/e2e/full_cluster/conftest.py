"""The same cluster, storage and operator as for all scenarios."""

from __future__ import annotations

from tests.e2e.scenarios.conftest import (
    bucket,
    images,
    job,
    namespace,
    operator,
    the_cluster,
    the_storage,
)

__all__ = ["bucket", "images", "job", "namespace", "operator", "the_cluster", "the_storage"]
