"""`spec.job`: the program, how wide it runs, whether it runs, and what it begins with.

A part of FlowJobSpec (flowjob_spec.py). What an edit of a field asks for is said in field_classes.py."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from flowjob_operator.resources.fields import (
    ARTIFACT,
    ENTRYPOINT,
    Duration,
    IntOrString,
    Name,
    Nonce,
    Parallelism,
    Pause,
    Storage,
)
from flowjob_operator.resources.model import Model, Rule

SCRIPT_BYTES = 128 * 1024


class WantedState(Enum):
    """What the user wants of the job."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"


class RestartStrategy(Enum):
    """Named as in `flowjob`."""

    EXPONENTIAL_DELAY = "ExponentialDelay"
    FIXED_DELAY = "FixedDelay"
    FAILURE_RATE = "FailureRate"
    NO_RESTART = "NoRestart"


class RestoreFrom(Model):
    """State to begin with."""

    is_opaque = True
    rules = (
        Rule(
            "[has(self.snapshot), has(self.path), has(self.job)].exists_one(given, given)",
            "give exactly one of snapshot, path and job",
        ),
    )
    snapshot: Name | None = Field(default=None, description="A FlowSnapshot of this namespace.")
    path: Storage | None = Field(
        default=None,
        description="Where a snapshot lies: s3://bucket/prefix. It is read with the credentials of this "
        "job.",
    )
    job: Name | None = Field(
        default=None,
        description="Another FlowJob of this namespace: its newest complete snapshot. Its files are never"
        " referenced: the first checkpoint is a full one.",
    )


class Stop(Model):
    """How the job is stopped."""

    drain: bool | None = Field(
        default=None,
        description="Whether event time runs to its end before the job stops, so that windows fire. For "
        "an end for good: what windows have given out so is not in the savepoint any more. "
        "Default: false.",
    )


class Restarts(Model):
    """What to do about failures of tasks."""

    strategy: RestartStrategy | None = Field(
        default=None,
        description="How restarts are paced. Default: as the program says, else ExponentialDelay.",
    )
    attempts: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None,
        description="ExponentialDelay: so many in a row; FixedDelay: over the life of the job. Then the "
        "job fails.",
    )
    delay: Pause | None = Field(default=None, description="Before a restart, or before the first.")
    longest: Duration | None = Field(
        default=None, description="ExponentialDelay: delays do not grow further."
    )
    failures: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="FailureRate: more than so many within `within` fail the job."
    )
    within: Duration | None = Field(
        default=None, description="FailureRate: the time in which failures count."
    )


_ARE_ONE_SOURCE = Rule(
    "[has(self.entrypoint), has(self.script), has(self.artifact)].exists_one(given, given)",
    "give exactly one of entrypoint, script and artifact",
)
_MAIN_IS_OF_AN_ARTIFACT = Rule(
    "!has(self.main) || has(self.artifact)",
    "main says where the job is in an artifact; an entrypoint says it itself, in a script it is called `job`",
    field="main",
)
_AN_ARCHIVE_HAS_A_MAIN = Rule(
    "!has(self.artifact) || self.artifact.endsWith('.py') || has(self.main)",
    "say in main where in the zip or wheel the job is, as module:attribute",
    field="artifact",
)
_PARALLELISM_FITS = Rule(
    "!has(self.parallelism) || !has(self.maxParallelism) || self.parallelism <= self.maxParallelism",
    "parallelism must not exceed maxParallelism",
    field="parallelism",
)
_MAX_PARALLELISM_STAYS = Rule(
    "!has(oldSelf.maxParallelism) || (has(self.maxParallelism) && self.maxParallelism == oldSelf.maxParallelism)",
    "maxParallelism is fixed for the life of the job: state is divided by it. Neither change nor remove it",
    field="maxParallelism",
)
_RESTORING_NEEDS_A_PLACE = Rule(
    "!has(self.restoreNonce) || has(self.restoreFrom)",
    "restoreNonce needs restoreFrom: give it, or remove the nonce",
    field="restoreNonce",
)


class JobSpec(Model):
    """What runs."""

    rules = (
        _ARE_ONE_SOURCE,
        _MAIN_IS_OF_AN_ARTIFACT,
        _AN_ARCHIVE_HAS_A_MAIN,
        _PARALLELISM_FITS,
        _MAX_PARALLELISM_STAYS,
        _RESTORING_NEEDS_A_PLACE,
    )
    entrypoint: Annotated[str, Field(pattern=ENTRYPOINT, max_length=512)] | None = Field(
        default=None,
        description="The job in the image, as module:attribute. The attribute is called `job` unless "
        "said.",
    )
    script: Annotated[str, Field(min_length=1, max_length=SCRIPT_BYTES)] | None = Field(
        default=None,
        description="The program itself, up to 128 KiB of Python. The job in it is called `job`.",
    )
    artifact: Annotated[str, Field(pattern=ARTIFACT, max_length=1024)] | None = Field(
        default=None,
        description="Where the program lies: a .py, .zip or .whl, such as s3://bucket/flights.whl. It is "
        "fetched once per revision, kept with the job, and every pod verifies its digest. "
        "Wheels are installed without their dependencies.",
    )
    main: Annotated[str, Field(pattern=ENTRYPOINT, max_length=512)] | None = Field(
        default=None, description="Where in a .zip or .whl the job is, as module:attribute."
    )
    args: dict[str, IntOrString] = Field(
        default={},
        max_length=256,
        description='The job\'s arguments by name. Whole numbers may be bare, all else is quoted: `"true"`, `"0.5"`.',
    )
    parallelism: Parallelism | None = Field(
        default=None,
        description="Subtasks of each operator, unless the program says otherwise for one. This is what "
        "`kubectl scale` and autoscalers set. Default: 1.",
    )
    max_parallelism: Parallelism | None = Field(
        default=None,
        description="The number of key groups: state can never be divided further. It is fixed by the "
        "first start. Default: as the program says, else 128.",
    )
    state: WantedState = Field(
        default=WantedState.RUNNING,
        description="Running; Suspended: stopped with its state kept, to go on later; Cancelled: stopped "
        "at once and for good, its checkpoints kept.",
        json_schema_extra={"x-shown-default": "Running"},
    )
    restore_from: RestoreFrom | None = Field(
        default=None,
        description="State to begin with, on the first start only. Later edits do nothing until "
        "restoreNonce changes.",
    )
    allow_non_restored: bool | None = Field(
        default=None,
        description="Whether state without a place in the program may be left behind, rather than refuse "
        "the start. Default: false.",
    )
    stop: Stop = Field(default=Stop(), description="How the job is stopped when it is suspended.")
    restarts: Restarts = Field(
        default=Restarts(), description="What to do about failures of tasks."
    )
    restart_nonce: Nonce | None = Field(
        default=None,
        description="A new number stops and starts the job, by upgrade.mode. Removing it does nothing.",
    )
    restore_nonce: Nonce | None = Field(
        default=None,
        description="A new number stops the job and starts it from restoreFrom: what it has done since is"
        " given up. Removing it does nothing.",
    )
    savepoint_nonce: Nonce | None = Field(
        default=None,
        description="A new number makes a FlowSnapshot of type Savepoint. Removing it does nothing.",
    )
    checkpoint_nonce: Nonce | None = Field(
        default=None,
        description="A new number has a checkpoint taken now. Removing it does nothing.",
    )
