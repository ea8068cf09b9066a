"""kubectl as the way to the Kubernetes API: it logs in by whatever its kubeconfig says, plugins of clouds included.

Why not the `kubernetes` package: it takes a second to import, and jobs do not need it. Objects come and go as JSON;
what they mean is flowjob_objects.py's."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol

import msgspec

from flowjob.errors import (
    BadRequest,
    Conflict,
    DeadlinePassed,
    NotAllowed,
    NotFound,
    ServiceError,
    ServiceUnreachable,
)

WITHIN = 60.0
"""Seconds for an answer; kubectl itself gives up a request after less."""


LONGEST_COMPLAINT = 4096
"""Bytes of it that are read."""


class Cluster(Protocol):
    """What is needed of kubectl: a test puts its own in its place."""

    @property
    def where(self) -> str: ...

    def json(self, *arguments: str, sent: Any = None) -> Any:
        """What the command answers, decoded. `sent` goes to its stdin, as JSON. Raises ServiceError and its kin."""
        ...

    def text(self, *arguments: str) -> str: ...

    def lines(self, *arguments: str) -> Iterator[str]:
        """As they come, until the command ends or the iterator is closed."""
        ...


class Kubectl:
    """The cluster of a context; None: what kubectl would take."""

    def __init__(self, context: str | None = None, kubeconfig: str | None = None) -> None:
        self._context = context
        self._flags = [
            *([f"--context={context}"] if context else []),
            *([f"--kubeconfig={kubeconfig}"] if kubeconfig else []),
        ]

    @property
    def where(self) -> str:
        return f"the cluster of context {self._context}" if self._context else "the cluster"

    def json(self, *arguments: str, sent: Any = None) -> Any:
        body = None if sent is None else msgspec.json.encode(sent)
        verb, *rest = arguments
        # Before the names, which stand behind `--`; what is asked for raw comes as it is.
        form = [] if "--raw" in rest else ["--output=json"]
        answer = self._run([verb, *form, *rest], body)
        try:
            return msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise ServiceError(
                f"kubectl answered with something that is no JSON: {error}"
            ) from None

    def text(self, *arguments: str) -> str:
        return self._run(arguments, None).decode("utf-8", "replace").strip()

    def lines(self, *arguments: str) -> Iterator[str]:
        # Not a pipe: nobody reads it meanwhile, and a full one would stop kubectl.
        with tempfile.TemporaryFile() as complaints:
            process = self.start(arguments, stdin=subprocess.DEVNULL, stderr=complaints)
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
                if process.wait() != 0:
                    complaints.seek(0)
                    said = complaints.read(LONGEST_COMPLAINT).decode("utf-8", "replace")
                    raise error_of(said, self.where)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()

    def _run(self, arguments: Sequence[str], body: bytes | None) -> bytes:
        process = self.start(arguments, stdin=subprocess.PIPE)
        with process:
            try:
                answer, complaint = process.communicate(body or b"", timeout=WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                raise DeadlinePassed(
                    f"kubectl did not answer within {WITHIN:.0f} s",
                    next_step=f"Try it: kubectl {' '.join([*self._flags, 'version'])}",
                ) from None
        if process.returncode != 0:
            raise error_of(complaint.decode("utf-8", "replace"), self.where)
        return answer

    def start(
        self, arguments: Sequence[str], *, stdin: int, stderr: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """The process, whose output is the caller's to read. Raises ServiceUnreachable where there is no kubectl."""
        try:
            return subprocess.Popen(
                ["kubectl", *self._flags, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        except FileNotFoundError:
            raise ServiceUnreachable(
                "kubectl is not installed here, and a cluster is asked by it",
                next_step="Install it (kubernetes.io/docs/tasks/tools), or say --server URL: the service itself",
            ) from None


_KINDS: tuple[tuple[str, type[ServiceError], str], ...] = (
    ("(NotFound)", NotFound, "`flowjob jobs -n NAMESPACE` lists what there is"),
    ("(Forbidden)", NotAllowed, "Ask for a role in that namespace that allows it"),
    ("(Unauthorized)", NotAllowed, "Log in to the cluster again: kubectl auth whoami"),
    ("must be logged in", NotAllowed, "Log in to the cluster again: kubectl auth whoami"),
    ("(Conflict)", Conflict, "Somebody changed it at the same time: ask again"),
    ("(AlreadyExists)", Conflict, "Choose another name"),
    ("(Invalid)", BadRequest, ""),
    ("is invalid:", BadRequest, ""),
    ("doesn't have a resource type", NotFound, "flowjob is not installed there: helm install"),
    ("unable to connect", ServiceUnreachable, "kubectl cluster-info says what is in the way"),
    ("was refused - did you specify", ServiceUnreachable, "kubectl config get-contexts lists what there is"),
    ("context was not found", BadRequest, "kubectl config get-contexts lists what there is"),
    ('" does not exist', BadRequest, "kubectl config get-contexts lists what there is"),
)  # fmt: skip


_LOGGED = re.compile(r"[EWIF][0-9]{4} ")
"""How a line of kubectl's own log begins: its last words say the same in short."""


def error_of(complaint: str, where: str) -> ServiceError:
    """Of what kubectl says when it fails: it has no other way to say it."""
    lines = [line.strip() for line in complaint.splitlines() if not _LOGGED.match(line)]
    text = "; ".join(line for line in lines if line)
    said = text.removeprefix("error: ").removeprefix("Error from server ")
    lowered = text.lower()
    for words, kind, step in _KINDS:
        if words.lower() in lowered:
            return kind(f"{where}: {said}", reason=words.strip("()"), next_step=step)
    return ServiceError(f"{where}: {said or 'kubectl failed without a word'}")
