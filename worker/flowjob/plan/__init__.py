"""From logical graph to job graph: pure functions over data. No I/O, no runtime.

Names are loaded on first use: `plan.types` and others here are imported by modules that the planner itself needs."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from flowjob.plan.compile import compile_job, compile_plan, digest
    from flowjob.plan.explain import explain, job_graph_text

__all__ = ["compile_job", "compile_plan", "digest", "explain", "job_graph_text"]

_EXPLAIN = ("explain", "job_graph_text")


def __getattr__(name: str) -> _Any:
    if name not in __all__:
        raise AttributeError(f"module 'flowjob.plan' has no attribute {name!r}")
    home = "explain" if name in _EXPLAIN else "compile"
    return getattr(_import_module(f"flowjob.plan.{home}"), name)
