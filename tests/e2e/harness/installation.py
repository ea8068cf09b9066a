"""The operator in the cluster, installed by its chart as a platform team would.

Which values a scenario wants is its own affair; here is only how an installation comes and goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness.images import Images, repository_and_tag
from tests.e2e.harness.namespace import Namespace
from tests.e2e.harness.tools import CommandFailed, Tools
from tests.e2e.harness.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent.parent
CHART = ROOT / "charts" / "flowjob"
NAMESPACE = "flowjob-system"
RELEASE = "flowjob"
READY = "5m"


@dataclass(frozen=True)
class Installation:
    tools: Tools
    images: Images
    namespace: str = NAMESPACE
    release: str = RELEASE

    def install(self, *settings: str) -> None:
        """Or upgrade. `settings` as behind `helm --set`. Raises CommandFailed, with what the pods say."""
        operator, operator_tag = repository_and_tag(self.images.operator)
        worker, worker_tag = repository_and_tag(self.images.worker)
        values = [
            f"image.repository={operator}",
            f"image.tag={operator_tag}",
            f"jobs.image.repository={worker}",
            f"jobs.image.tag={worker_tag}",
            *settings,
        ]
        words = ["upgrade", "--install", self.release, str(CHART), "--namespace", self.namespace]
        chosen = [word for value in values for word in ("--set", value)]
        options = ["--create-namespace", "--wait", "--timeout", READY]
        try:
            wait_until(
                "nobody else installs", lambda: self._try([*words, *options, *chosen]), within=300
            )
        except CommandFailed as failure:
            raise CommandFailed(words, f"{failure.said}\n{self.space.explain()}") from None

    def _try(self, words: list[str]) -> bool:
        """False while another session of scenarios is at it."""
        try:
            self.tools.helm(*words, within=600)
        except CommandFailed as failure:
            if any(word in failure.said for word in ("another operation", "already exists")):
                return False
            raise
        return True

    def uninstall(self) -> None:
        self.tools.helm("uninstall", self.release, "--namespace", self.namespace, "--wait")

    @property
    def space(self) -> Namespace:
        return Namespace(self.tools, self.namespace)

    @property
    def owner(self) -> str:
        """As it calls itself in the status of its jobs."""
        full = self.release if "flowjob" in self.release else f"{self.release}-flowjob"
        return f"{self.namespace}-{full}"

    def pods(self) -> list[str]:
        found = self.space.list("pods", f"app.kubernetes.io/instance={self.release}")
        return [pod["metadata"]["name"] for pod in found]

    def kill(self) -> None:
        """All operator pods at once; others are started in their place."""
        for pod in self.pods():
            self.space.kill_pod(pod)

    def logs(self) -> str:
        return "\n".join(self.space.logs(pod) for pod in self.pods())

    @contextlib.contextmanager
    def absent(self) -> Iterator[None]:
        """Scaled to nothing for a while."""
        deployment = f"deployment/{self.release}"
        self.space.kubectl("scale", deployment, "--replicas=0")
        try:
            yield
        finally:
            self.space.kubectl("scale", deployment, "--replicas=1")
            self.space.kubectl("rollout", "status", deployment, f"--timeout={READY}")
