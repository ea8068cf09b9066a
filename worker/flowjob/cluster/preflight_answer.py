"""What `flowjob preflight` and `flowjob storage` leave behind for the operator: one JSON object of at most 4 kB, which
Kubernetes keeps as the termination message of the container.

Plain data, and how it is cut to that size. It must not know how answers are found."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from flowjob.cluster.state_moves import StateMove

MOST_BYTES = 4096
"""What Kubernetes keeps of a termination message; it cuts the rest off."""

TERMINATION_LOG = "/dev/termination-log"

_SHORTEST = 160
"""Characters that are left of a sentence where all of them together are too long."""


_T = TypeVar("_T", bound="_Data")


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class PreflightAnswer(_Data, frozen=True, kw_only=True, rename="camel"):
    """What a revision would do. Nothing of the running job was touched.

    accepted         it can start; False: `problems` say why not
    problems, notes  sentences for people; notes do not keep it from starting
    digest           sha256 of the script or artifact, in hexadecimal digits; empty for an entrypoint in the image
    artifact         where that is kept now: what goes into `JobFile.program.artifact`
    plan             digest of the plan
    slots            how many slots the job needs, by name of the sharing group; where those are too many, their sum
                     under the empty name
    parallelism      of the most parallel operator
    restore_from     the snapshot that was matched; None: it would begin with nothing
    error_code       of the first problem, as in docs/errors.md
    state            what becomes of which operator's state; those that do not fit in here are left out
    """

    protocol: int = 1
    accepted: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error_code: str | None = None
    digest: str = ""
    artifact: str | None = None
    plan: str = ""
    max_parallelism: int = 0
    parallelism: int = 0
    slots: dict[str, int] = {}
    restore_from: str | None = None
    state: tuple[StateMove, ...] = ()

    @property
    def needed(self) -> int:
        """Slots that the job needs in all."""
        return sum(self.slots.values())


class StorageAnswer(_Data, frozen=True, kw_only=True, rename="camel"):
    """What became of work on storage without a live job. All of it may be asked for again: `done` then says so again.

    path       of the snapshot, as it was asked for
    kind       of the snapshot that is there; None: there is none (any more)
    checksum   of its manifest, `sha256:…`; that covers checksums of everything in the snapshot
    size       bytes of all its objects
    taken_at   RFC 3339, UTC
    job        whose it is: the name that its JobManager knew
    deleted    how many objects this call has deleted
    """

    protocol: int = 1
    done: bool
    problem: str | None = None
    error_code: str | None = None
    path: str = ""
    kind: Literal["Savepoint", "Checkpoint"] | None = None
    checksum: str = ""
    size: int = 0
    taken_at: str | None = None
    job: str = ""
    deleted: int = 0


Answer = PreflightAnswer | StorageAnswer


def encode(answer: Answer, most: int = MOST_BYTES) -> bytes:
    """JSON of at most `most` bytes: sentences are shortened at their ends, then the last ones
    left out, but for the first problem."""
    data = msgspec.json.encode(answer)
    longest = 2 * most
    while len(data) > most and longest > _SHORTEST:
        longest = max(longest * 2 // 3, _SHORTEST)
        answer = _shortened(answer, longest)
        data = msgspec.json.encode(answer)
    while len(data) > most and isinstance(answer, PreflightAnswer):
        smaller = _smaller(answer)
        if smaller == answer:
            break
        answer, data = smaller, msgspec.json.encode(smaller)
    return data


def read_preflight(message: str | bytes) -> PreflightAnswer | None:
    """None for what is no answer: the container was killed, or wrote something else."""
    return _read(message, PreflightAnswer)


def read_storage(message: str | bytes) -> StorageAnswer | None:
    """None for what is no answer."""
    return _read(message, StorageAnswer)


def _read(message: str | bytes, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(message, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _shortened(answer: Answer, longest: int) -> Answer:
    if isinstance(answer, StorageAnswer):
        problem = None if answer.problem is None else _cut(answer.problem, longest)
        return msgspec.structs.replace(answer, problem=problem)
    problems = tuple(_cut(text, longest) for text in answer.problems)
    notes = tuple(_cut(text, longest) for text in answer.notes)
    return msgspec.structs.replace(answer, problems=problems, notes=notes)


def _smaller(answer: PreflightAnswer) -> PreflightAnswer:
    """Without what matters least: parts of state, slots by group, the last operator's state, the last note, the last
    but one problem."""
    if any(move.states for move in answer.state):
        bare = tuple(msgspec.structs.replace(move, states=[]) for move in answer.state)
        return msgspec.structs.replace(answer, state=bare)
    if len(answer.slots) > 1:
        return msgspec.structs.replace(answer, slots={"": answer.needed})
    if answer.state:
        return msgspec.structs.replace(answer, state=answer.state[:-1])
    if answer.notes:
        return msgspec.structs.replace(answer, notes=answer.notes[:-1])
    return msgspec.structs.replace(answer, problems=answer.problems[:1] + answer.problems[1:-1])


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
