"""Every error, as RFC 9457 has it: application/problem+json.

`code` is for programs and never changes; docs/rest.md lists the codes."""

from __future__ import annotations

from flowjob_api.schemas.model import Answer, example


class FieldProblem(Answer):
    """One thing that is wrong with the request."""

    field: str
    """Where: `body.parallelism`, `query.limit`, …; of a conflict: the path in the FlowJob."""
    message: str
    manager: str | None = None
    """Of a conflict: who owns the field."""


class Problem(Answer):
    """What went wrong, and what to do."""

    model_config = example(
        type="about:blank", title="Conflict", status=409, code="FIELD_OWNED", instance="/api/v1/jobs/shop/orders/scale",
        detail="spec.job.parallelism belongs to argocd: change it there, or say force=true",
        errors=[{"field": "spec.job.parallelism", "message": "owned by argocd", "manager": "argocd"}],
    )  # fmt: skip
    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    instance: str = ""
    errors: list[FieldProblem] = []
