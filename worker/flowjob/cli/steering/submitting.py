"""`flowjob submit`: a FlowJob from its file, or made of a program, for a cluster to run.

A program of one file travels in the object itself; anything larger is in an image or an artifact, which a FlowJob
names. Whether it is one is for the API server to say. It must not know who is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from flowjob.cli.steering.changing import Patience, changed, outcome
from flowjob.cli.steering.choosing import steering
from flowjob.cli.steering.output import print_json, progress
from flowjob.cli.steering.where import Where
from flowjob.cli.terminal_text import presentable
from flowjob.errors import BadRequest

LONGEST_SCRIPT = 128 * 1024
"""Bytes that a FlowJob may have of a program."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What was said besides the file: of a program, all that its FlowJob is to say; of a FlowJob, what is other."""

    name: str | None = None
    image: str | None = None
    arg: list[str] | None = None
    parallelism: int | None = None
    checkpoints: str | None = None

    def of(self, file: str) -> dict[str, Any]:
        """The FlowJob. Raises a usage error."""
        path = Path(file)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise typer.BadParameter(f"{file}: {reason}", param_hint="FILE") from None
        body = _of_program(path, text) if path.suffix == ".py" else _of_object(file, text)
        self._put_into(body)
        return body

    def _put_into(self, body: dict[str, Any]) -> None:
        spec = body["spec"]
        job = spec.setdefault("job", {})
        if self.name is not None:
            body["metadata"]["name"] = self.name
        if self.image is not None:
            spec["image"] = self.image
        if self.parallelism is not None:
            job["parallelism"] = self.parallelism
        if self.checkpoints is not None:
            spec.setdefault("checkpoints", {})["storage"] = self.checkpoints
        for name, value in (changed(self.arg, "--arg") or {}).items():
            if value is None:
                job.get("args", {}).pop(name, None)
            else:
                job.setdefault("args", {})[name] = value


def _of_program(path: Path, text: str) -> dict[str, Any]:
    if len(text.encode()) > LONGEST_SCRIPT:
        raise typer.BadParameter(
            f"{path} has more than {LONGEST_SCRIPT // 1024} KiB: put it into an image, and submit a FlowJob of that",
            param_hint="FILE",
        )
    name = path.stem.lower().replace("_", "-")
    return _flowjob({"name": name}, {"job": {"script": text}})


def _flowjob(metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    version = "flowjob.dev/v1beta1"
    return {"apiVersion": version, "kind": "FlowJob", "metadata": metadata, "spec": spec}


def _of_object(file: str, text: str) -> dict[str, Any]:
    found = _read(file, text)
    if not isinstance(found, dict) or found.get("kind") != "FlowJob":
        kind = found.get("kind") if isinstance(found, dict) else type(found).__name__
        raise typer.BadParameter(f"{file} is no FlowJob (kind: {kind})", param_hint="FILE")
    metadata, spec = found.get("metadata"), found.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise typer.BadParameter(f"{file} has no metadata, or no spec", param_hint="FILE")
    kept = {n: metadata[n] for n in ("name", "namespace", "labels", "annotations") if n in metadata}
    return {**_flowjob(kept, spec), "apiVersion": found.get("apiVersion", "")}


def _read(file: str, text: str) -> Any:
    """JSON, or YAML of one document."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from None
    try:
        import yaml
    except ImportError:
        raise BadRequest(
            "YAML cannot be read here", next_step="pip install pyyaml, or write the FlowJob in JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from None


def submit_job(where: Where, file: str, said: Submission, patience: Patience) -> None:
    """Makes the FlowJob; prints what has become of it when its tasks run."""
    body, longest = said.of(file), patience.seconds
    named = body["metadata"].get("namespace")
    if named and where.namespace and named != where.namespace:
        raise BadRequest(f"{file} says namespace {named}, and -n {where.namespace}: say one")
    with steering(where) as asked:
        namespace = named or where.namespace or asked.default_namespace
        if namespace is None:
            raise BadRequest(
                "it is not said in which namespace the job is to be",
                next_step="Say -n NAMESPACE, or metadata.namespace in the file; a job of this machine is started with "
                "`flowjob run`",
            )
        operation = asked.submit(body, namespace)
        if patience.wait:
            with progress(f"submit {operation.job}", quiet=where.json) as tell:
                operation = asked.wait(operation, timeout=longest, on_progress=tell)
    if where.json:
        print_json(operation)
        return
    for line in outcome(presentable(operation), "submit"):
        print(line)
