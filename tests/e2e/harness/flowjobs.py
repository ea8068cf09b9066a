"""A FlowJob as a scenario handles it: applied, looked at, waited for, changed.

The program verifies itself (verified.py says whether it did); what is done with it is the scenario's."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.harness import verified
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.plain import SCRIPT
from tests.e2e.harness.storage import ENDPOINT, REGION, Bucket
from tests.e2e.harness.tools import Object
from tests.e2e.harness.waiting import TooLate, patience

ENDED = ("Finished", "Cancelled", "Failed")


def rows_in(seconds: float, rate: int) -> int:
    """So many rows that the job has not ended before the scenario has done what it does, on a busy machine neither."""
    return int(seconds * patience()) * rate


def verifying_job(name: str, bucket: Bucket, *, rows: int, rate: int, **settings: Any) -> Object:
    """A FlowJob that writes `rows` rows at `rate` per second. `settings` are merged into its spec."""
    access = {
        "envFrom": [{"secretRef": {"name": "storage"}}],
        "env": [
            {"name": "AWS_ENDPOINT_URL", "value": ENDPOINT},
            {"name": "AWS_REGION", "value": REGION},
            # A kernel that has to be compiled in a pod fails the job.
            {"name": "FLOWJOB_KERNELS", "value": "require"},
        ],
    }
    template = {"spec": {"containers": [{"name": "flowjob", **access}]}}
    role = {
        "podTemplate": template,
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
    }
    spec: Object = {
        "job": {
            "script": SCRIPT.read_text(),
            "parallelism": 2,
            "args": {
                "rows": rows,
                "rate": rate,
                "roll_rows": 20_000,
                "timeout_ms": 60_000,
                "out": f"{bucket.url}/{verified.RESULTS}",
            },
        },
        "checkpoints": {
            "storage": f"{bucket.url}/state",
            "endpoint": ENDPOINT,
            "region": REGION,
            "secretRef": {"name": "storage"},
            "interval": "1s",
        },
        "jobManager": copy.deepcopy(role),
        "taskManager": copy.deepcopy(role),
    }
    return {
        "apiVersion": "flowjob.dev/v1beta1",
        "kind": "FlowJob",
        "metadata": {"name": name},
        "spec": merged(spec, settings),
    }


def merged(base: Object, more: Mapping[str, Any]) -> Object:
    """As a merge patch: objects by key, all else replaced."""
    made = dict(base)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(made.get(key), Mapping)
        made[key] = merged(made[key], value) if both else value
    return made


@dataclass(frozen=True)
class FlowJob:
    space: Namespace
    name: str
    bucket: Bucket

    def apply(self, *, rows: int, rate: int, **settings: Any) -> None:
        self.space.apply(verifying_job(self.name, self.bucket, rows=rows, rate=rate, **settings))

    def change(self, **spec: Any) -> int:
        """A merge patch of the spec; the generation that it made."""
        self.space.patch("flowjob", self.name, {"spec": spec})
        return int(self.object()["metadata"]["generation"])

    def object(self) -> Object:
        found = self.space.get("flowjob", self.name)
        if found is None:
            raise AssertionError(f"FlowJob {self.name} is gone")
        return found

    @property
    def status(self) -> Object:
        status: Object = self.object().get("status") or {}
        return status

    @property
    def phase(self) -> str:
        return str(self.status.get("phase"))

    @property
    def step(self) -> str | None:
        """Of the operation that is under way."""
        step: str | None = (self.status.get("operation") or {}).get("step")
        return step

    def condition(self, kind: str) -> Object:
        found = [c for c in self.status.get("conditions") or [] if c["type"] == kind]
        return found[0] if found else {"status": "Unknown", "reason": "", "message": ""}

    def wait_for(self, phase: str, *, within: float = 120.0, generation: int = 0) -> None:
        """Until the phase is this one, of the generation or a later one; not if the job has ended otherwise."""

        def there() -> bool:
            status = self.status
            seen = int(status.get("observedGeneration") or 0)
            now = status.get("phase")
            if now == phase and seen >= generation:
                return True
            if now in ENDED and seen >= generation and generation:
                raise TooLate(f"{self.name} is {now}, not {phase}\n{self.space.explain()}")
            return False

        self.space.wait(f"{self.name} is {phase}", there, within=within)

    def wait_until(
        self, reason: str, condition: Callable[[], bool], *, within: float = 120
    ) -> None:
        """As Namespace.wait, but wrong at once when the job has ended: then it never comes."""

        def there() -> bool:
            if condition():
                return True
            if self.phase in ENDED:
                raise TooLate(f"{reason}: {self.name} is {self.phase}\n{self.space.explain()}")
            return False

        self.space.wait(reason, there, within=within)

    def wait_running(self, *, within: float = 180.0, generation: int = 0) -> None:
        def running() -> bool:
            status = self.status
            seen = int(status.get("observedGeneration") or 0) >= generation
            state = (status.get("job") or {}).get("state")
            return seen and status.get("phase") == "Running" and state == "Running"

        self.wait_until(f"{self.name} runs", running, within=within)

    def wait_for_results(self, *, more: int = 1, within: float = 120.0) -> float:
        """Until so many further files are published; the seconds that took."""
        began, before = time.monotonic(), verified.files_so_far(self.bucket)

        self.wait_until(
            f"{self.name} publishes",
            lambda: verified.files_so_far(self.bucket) >= before + more,
            within=within,
        )
        return time.monotonic() - began

    def wait_until_verified(self, rows: int, *, within: float = 300.0, runs: int = 1) -> None:
        """Until it has finished, with every row exactly once in its results. `runs`: of this job and others before."""
        self.wait_for("Finished", within=within)
        if wrong := verified.what_is_wrong(self.bucket, rows, runs=runs):
            raise AssertionError("\n".join(wrong))

    def pods(self, component: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pod_objects(component)]

    def pod_objects(self, component: str) -> list[Object]:
        selector = f"flowjob.dev/job={self.name},app.kubernetes.io/component={component}"
        return self.space.list("pods", selector)

    def kill(self, component: str) -> None:
        """All pods of it, without asking."""
        for pod in self.pods(component):
            self.space.kill_pod(pod)
