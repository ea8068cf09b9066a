"""From logical graph to job graph: pure functions over data. No I/O, no runtime.

Names are loaded on first use: `plan.types` and others here are imported by modules that the planner itself needs."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from flowjob.plan.compile import compile_job, compile_plan
    from flowjob.plan.explain import job_graph_text
    from flowjob.plan.fingerprint import digest

__all__ = ["compile_job", "compile_plan", "digest", "job_graph_text"]

_HOMES = {
    "compile_job": "compile",
    "compile_plan": "compile",
    "digest": "fingerprint",
    "job_graph_text": "explain",
}


def __getattr__(name: str) -> _Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'flowjob.plan' has no attribute {name!r}")
    value = getattr(_import_module(f"flowjob.plan.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
