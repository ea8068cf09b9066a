"""One namespace of the cluster, for one test: apply, look, wait, and say what goes on when something is wrong.

Knows Kubernetes' own kinds and ours by name; nothing of what a scenario wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.e2e.harness.tools import CommandFailed, Object, Tools
from tests.e2e.harness.waiting import wait_until

T = TypeVar("T")

LINES_OF_LOGS = 60


@dataclass(frozen=True)
class Namespace:
    tools: Tools
    name: str

    def kubectl(self, *words: str, text: str | None = None, within: float = 120.0) -> str:
        return self.tools.kubectl("-n", self.name, *words, text=text, within=within)

    def apply(self, *objects: Object) -> None:
        """As `kubectl apply -f` does. Raises CommandFailed with the API server's words."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", text=json.dumps(listed))

    def apply_text(self, manifest: str) -> None:
        self.kubectl("apply", "-f", "-", text=manifest)

    def get(self, kind: str, name: str) -> Object | None:
        return self.tools.get(self.name, kind, name)

    def list(self, kind: str, selector: str = "") -> list[Object]:
        return self.tools.every(self.name, kind, selector)

    def patch(self, kind: str, name: str, change: Object, *, subresource: str = "") -> None:
        words = ["patch", kind, name, "--type=merge", "-p", json.dumps(change)]
        self.kubectl(*words, *([f"--subresource={subresource}"] if subresource else []))

    def annotate(self, kind: str, name: str, **annotations: str) -> None:
        """`flowjob_dev__plan_only="1"` is the annotation flowjob.dev/plan-only."""
        words = [
            f"{key.replace('__', '/').replace('flowjob_dev', 'flowjob.dev').replace('_', '-')}={value}"
            for key, value in annotations.items()
        ]
        self.kubectl("annotate", "--overwrite", kind, name, *words)

    def delete(self, kind: str, name: str, *words: str, within: float = 120.0) -> None:
        """Nothing where it is gone already."""
        self.kubectl("delete", kind, name, "--ignore-not-found", *words, within=within)

    def kill_pod(self, name: str) -> None:
        """Without asking it: the API forgets it at once, the node kills it."""
        self.delete("pod", name, "--force", "--grace-period=0", "--wait=false")

    def logs(self, pod: str, *, previous: bool = False) -> str:
        words = [pod, f"--tail={LINES_OF_LOGS}", "--all-containers"]
        try:
            return self.kubectl("logs", *words, *(["--previous"] if previous else []))
        except CommandFailed as failure:
            return f"({failure.said})"

    def execute(self, pod: str, *command: str) -> str:
        return self.kubectl("exec", pod, "--", *command)

    def wait(self, reason: str, condition: Callable[[], T | None], *, within: float = 120.0) -> T:
        """Raises TooLate with all that is known of the namespace."""
        return wait_until(reason, condition, within=within, explain=self.explain)

    def wait_gone(self, kind: str, name: str, *, within: float = 120.0) -> None:
        self.wait(f"{kind} {name} is gone", lambda: self.get(kind, name) is None, within=within)

    def explain(self) -> str:
        """Objects, events and the end of each pod's logs."""
        parts = [
            self._try("get", "flowjobs,flowsnapshots", "-o", "wide"),
            self._statuses(),
            self._try("get", "pods,deployments,statefulsets,jobs,services", "-o", "wide"),
            self._try("get", "events", "--sort-by=.lastTimestamp"),
        ]
        for pod in self.list("pods"):
            name = pod["metadata"]["name"]
            parts.append(f"--- logs of {name}\n{self.logs(name)}")
            statuses = pod.get("status", {}).get("containerStatuses") or []
            if any(status.get("restartCount") for status in statuses):
                parts.append(f"--- logs of {name}, before\n{self.logs(name, previous=True)}")
        return "\n".join(parts)

    def _statuses(self) -> str:
        try:
            jobs = self.list("flowjobs")
        except CommandFailed:
            return ""  # The kind is not there: a test without the operator.
        shown = {job["metadata"]["name"]: job.get("status") for job in jobs}
        return f"status: {json.dumps(shown, indent=1)}"

    def _try(self, *words: str) -> str:
        try:
            return f"--- {' '.join(words)}\n{self.kubectl(*words)}"
        except CommandFailed as failure:
            return f"--- {' '.join(words)}\n({failure.said})"
