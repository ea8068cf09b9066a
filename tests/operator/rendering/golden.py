"""What is rendered of the examples, as YAML that people read: `python -m tests.operator.rendering.golden` writes it.

Everything that Kubernetes is told stands there, so that a change of it is seen by whoever reads the commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flowjob.cluster.job_file import Restore
from flowjob_operator.rendering.revisions import Now, controller_revision, to_apply
from flowjob_operator.rendering.short_jobs import (
    StorageTask,
    preflight,
    storage_work,
    storage_work_by_access,
)
from flowjob_operator.resources.flowsnapshot import StorageAccess
from tests.operator.rendering import examples
from tests.operator.rendering.examples import IMAGE, JOB, SPECS

FOLDER = Path(__file__).parent / "golden"

EXPECTED = "s3://bucket/flowjob/air/flights/1/checkpoints/7"


def documents() -> dict[str, list[Any]]:
    """Objects by the name of their file; those that are as in `small` are left out of the others."""
    found = {}
    for name, spec in SPECS.items():
        revision = examples.a_revision(spec, code=examples.CODE.get(name))
        made = examples.render(JOB, revision, examples.PLATFORM)
        now = Now(
            restore=Restore(expected=EXPECTED) if name == "savepoint" else Restore(),
            task_managers=3 if name == "everything" else 2,
            owned=name != "savepoint",
        )
        found[name] = [o for o in to_apply(made, JOB, now) if o not in found.get("small", [])]
    small = examples.a_revision(examples.MINIMAL)
    found["revision"] = [
        controller_revision(JOB, small, examples.render(JOB, small, examples.PLATFORM))
    ]
    found["short-jobs"] = short_jobs()
    return found


def short_jobs() -> list[Any]:
    everything = examples.a_revision(examples.EVERYTHING)
    artifact = examples.a_revision(examples.ARTIFACT)
    access = StorageAccess.of({"secretRef": {"name": "s3"}, "region": "eu"})
    return [
        *preflight(JOB, artifact, Restore(expected=EXPECTED), 300.0, examples.PLATFORM),
        *storage_work(
            JOB, StorageTask("flights-dispose-1", "dispose", None), everything, examples.PLATFORM
        ),
        *storage_work_by_access(
            JOB,
            StorageTask("before-verify", "verify", "s3://b/before"),
            access,
            IMAGE,
            examples.PLATFORM,
        ),
    ]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dumped(objects: list[Any]) -> str:
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, objects in documents().items():
        (FOLDER / f"{name}.yaml").write_text(dumped(objects))
