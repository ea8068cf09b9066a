"""From logical graph to job graph: pure functions over data. No I/O, no runtime."""

from flowjob.plan.compile import compile_job, compile_plan, digest
from flowjob.plan.explain import explain, job_graph_text

__all__ = ["compile_job", "compile_plan", "digest", "explain", "job_graph_text"]
