"""kubectl and helm, as a person would call them, against one cluster.

Knows commands and their failures; nothing of flowjob."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.harness.reading import PATHS, NoAnswer, Reading

Object = dict[str, Any]
COMMAND_SECONDS = 120.0


class CommandFailed(Exception):
    """The message has the command and what it said."""

    def __init__(self, command: list[str], said: str) -> None:
        self.said = said
        super().__init__(f"{' '.join(command)}\n{said}")


@dataclass(frozen=True)
class Tools:
    """`programs` has kubectl and helm where the path has not."""

    kubeconfig: Path
    programs: Path | None = None
    _readings: list[Reading] = field(default_factory=list, repr=False, compare=False)

    def kubectl(self, *words: str, text: str | None = None, within: float = COMMAND_SECONDS) -> str:
        """What it prints. Raises CommandFailed."""
        return self.run([self.path("kubectl"), *words], text=text, within=within)

    def helm(self, *words: str, within: float = 300.0) -> str:
        return self.run([self.path("helm"), *words], within=within)

    def read(self, *words: str) -> Object | None:
        """An object or a list of them; None: it is not there."""
        try:
            found: Object = json.loads(self.kubectl(*words, "-o", "json"))
        except CommandFailed as failure:
            if "NotFound" in failure.said:
                return None
            raise
        return found

    def get(self, namespace: str, kind: str, name: str) -> Object | None:
        """None: it is not there."""
        if f"{kind}s" not in PATHS:
            return self.read("-n", namespace, "get", kind, name)
        try:
            return self._reading().get(namespace, f"{kind}s", name)
        except NoAnswer as failure:
            raise CommandFailed(["get", kind, name], str(failure)) from None

    def every(self, namespace: str, kind: str, selector: str = "") -> list[Object]:
        if kind not in PATHS:
            found = self.read("-n", namespace, "get", kind, "-l", selector)
        else:
            try:
                found = self._reading().list(namespace, kind, selector)
            except NoAnswer as failure:
                raise CommandFailed(["get", kind], str(failure)) from None
        items: list[Object] = (found or {}).get("items", [])
        return items

    def close(self) -> None:
        """Whatever stays between questions."""
        while self._readings:
            self._readings.pop().close()

    def _reading(self) -> Reading:
        if not self._readings:
            self._readings.append(Reading(self.start))
        return self._readings[0]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """kubectl that goes on; whoever calls this ends it."""
        command = [self.path("kubectl"), *words]
        return subprocess.Popen(command, env=self._environment(), text=True, **options)

    def run(self, command: list[str], *, text: str | None = None, within: float = 120.0) -> str:
        try:
            answer = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(command, f"took longer than {within} s") from None
        if answer.returncode != 0:
            raise CommandFailed(command, answer.stderr.strip() or answer.stdout.strip())
        return answer.stdout

    def path(self, program: str) -> str:
        if self.programs is not None and (self.programs / program).exists():
            return str(self.programs / program)
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(f"{program} is needed on the path")
        return found

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
