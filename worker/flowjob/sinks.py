"""Sinks that need no system behind them: `fj.sinks.collect`, `fj.sinks.show`, `fj.sinks.print_`, `fj.sinks.discard`.

Only names: the sinks themselves are in connectors/."""

from flowjob.connectors.collect import collect, show
from flowjob.connectors.discard import discard
from flowjob.connectors.print import print_

__all__ = ["collect", "discard", "print_", "show"]
