"""The images of this tree: made where they are missing, and brought to where the cluster finds them.

Which cluster it is decides how; see which_cluster.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLUSTER = Path(__file__).parent.parent / "cluster"
NAMES = ("worker", "operator", "s3")


@dataclass(frozen=True)
class Images:
    """By full name, with a tag that says what they are made of."""

    worker: str
    operator: str
    s3: str

    def all(self) -> tuple[str, ...]:
        return (self.worker, self.operator, self.s3)


def build_images(names: Sequence[str] = NAMES) -> Images:
    """Nothing where they are there. Raises CalledProcessError; what went wrong is on stderr.

    Of `FLOWJOB_WORKER_IMAGE`, `FLOWJOB_OPERATOR_IMAGE`, `FLOWJOB_S3_IMAGE` each that is set is taken as it is."""
    given = {name: os.environ.get(f"FLOWJOB_{name.upper()}_IMAGE", "") for name in NAMES}
    names = [name for name in names if not given.get(name)]
    if names:
        command = [CLUSTER / "build-images", *names]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        given |= dict(line.split(" ", 1) for line in answer.stdout.splitlines())
    return Images(given["worker"], given["operator"], given["s3"])


def build_own_image(images: Images) -> str:
    """That of examples/kubernetes/own-image, on the worker's."""
    environment = {**os.environ, "FLOWJOB_WORKER_IMAGE": images.worker}
    command = [CLUSTER / "build-images", "own"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return answer.stdout.split()[1]


def repository_and_tag(image: str) -> tuple[str, str]:
    repository, _, tag = image.rpartition(":")
    return repository, tag
