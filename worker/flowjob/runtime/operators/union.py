"""Union: rows of several inputs as one stream. The merging is the gate's; this is the node they meet in.

It also stands for a source at the head of its chain, where rows come from splits instead of channels."""

from __future__ import annotations

from collections.abc import Iterable

from flowjob.plan.specs import UnionSpec
from flowjob.runtime.batch import Data
from flowjob.runtime.operators.base import Operator, Output


class Union(Operator):
    """Passes everything on."""

    def __init__(self, spec: UnionSpec) -> None:
        self.spec = spec

    def process(self, data: Data, port: int) -> Iterable[Output]:
        return (data,)
