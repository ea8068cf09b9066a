"""Optimiser rules, one per module: each a pure function from logical graph to logical graph with the same meaning.

They run after parallelism is resolved and state identities are given, so no rule can change either."""

from __future__ import annotations

from collections.abc import Callable

from flowjob.plan.logical import LogicalGraph
from flowjob.plan.rules.merge_projections import merge_projections
from flowjob.plan.rules.prune_columns import prune_columns
from flowjob.plan.rules.two_phase_aggregation import two_phase_aggregation

Rule = Callable[[LogicalGraph], LogicalGraph]

RULES: tuple[Rule, ...] = (prune_columns, merge_projections, two_phase_aggregation)
"""In order: columns are pruned before projections merge, so that merging sees only what is needed."""
