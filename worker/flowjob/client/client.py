"""The service at one address: its jobs, its operations, and waiting for them.

What is asked about one job is job_client.py's, how a request is sent service.py's. It must not print, or know the
command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from flowjob.client.job_client import LOCAL_NAMESPACE, ROOT, JobClient
from flowjob.client.models import JobList, JobSummary, Operation, Session
from flowjob.client.service import Call, Service
from flowjob.client.waiting import OnProgress, wait_for
from flowjob.errors import ServiceUnreachable

ENDING = ("Cancel", "Stop", "Suspend")
"""Operations behind which there is no local job any more."""

PAGE = 500
"""Jobs asked for at once."""


class Client:
    """The service at one address; `flowjob.client.connect` makes one. For one thread at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def where(self) -> str:
        return self._service.where

    @property
    def default_namespace(self) -> str | None:
        return None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._service.close()

    def job(self, name: str, namespace: str = "local") -> JobClient:
        return JobClient(self._service, namespace, name)

    def page(self, *, next: str | None = None, limit: int = PAGE, **filters: str | None) -> JobList:
        """Filters: `namespace`, `state`, `q` (in the name or a label)."""
        query = {**filters, "limit": limit, "continue": next}
        return self._service.json(Call("GET", f"{ROOT}/jobs", query), JobList)

    def jobs(self, **filters: str | None) -> Iterator[JobSummary]:
        """All that may be seen, page by page."""
        next = None
        while True:
            page = self.page(next=next, limit=PAGE, **filters)
            yield from page.jobs
            if page.next is None:
                return
            next = page.next

    def submit(self, body: Any, namespace: str, *, key: str | None = None) -> Operation:
        """`body`: a FlowJob, as `kubectl apply` takes it."""
        path = f"{ROOT}/jobs/{quote(namespace, safe='')}"
        return self._service.json(
            Call("POST", path, body=body, key=key or self._service.clock.key()), Operation
        )

    def operation(self, id: str) -> Operation:
        return self._service.json(Call("GET", f"{ROOT}/operations/{quote(id, safe='')}"), Operation)

    def wait(
        self,
        operation: Operation,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Operation:
        """See waiting.wait_for. The service of a local job ends with it: that a job which was to be cancelled is not
        there any more is what was wanted."""
        try:
            return wait_for(operation, self.operation, self._service.clock, timeout, on_progress)
        except ServiceUnreachable as error:
            if operation.job.namespace != LOCAL_NAMESPACE or operation.kind not in ENDING:
                raise
            if operation.kind == "Cancel":
                return msgspec.structs.replace(operation, state="Done")
            error.next_step = f"If the job has ended, `flowjob savepoint list {operation.job.name}` has its savepoint"
            raise

    def session(self) -> Session:
        """Who asks, and what the service is."""
        return self._service.json(Call("GET", f"{ROOT}/session"), Session)

    def is_ready(self) -> bool:
        """Whether it answers that it is; raises ServiceUnreachable when it does not answer at all."""
        return self._service.send(Call("GET", "/readyz")).status == 200
