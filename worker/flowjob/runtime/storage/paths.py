"""Every object name there is, made and parsed back in one place: the log, checkpoints, shared files, savepoints.

Names are written by people (jobs, savepoints, uids) or by us; people's words are percent-encoded, so that they are one
segment each, safe on any file system, and no name is another one's directory (stores on file systems could not hold
both). It must not know stores or what the objects contain. The layout is drawn in docs/storage.md."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from urllib.parse import quote, unquote

from flowjob.core.job_events import TaskId

MANIFEST = "manifest.json"
"""In the directory of every snapshot; the other names in it are what the manifest says."""

LONGEST_WORD = 120
"""Bytes of a segment made of people's words: two of them and our own decoration stay below the 255 of file systems."""

_SEQUENCE_DIGITS = 12
_LOG, _CHECKPOINTS, _SHARED, _SAVEPOINTS, _PROBES = (
    "log",
    "checkpoints",
    "shared",
    "savepoints",
    "probes",
)


_LIVES = "lives"


def segment(word: str) -> str:
    """One segment of a name for a word of people's: different for different words, never empty, hidden or `..`.

    Everything but ASCII letters, digits, `_`, `-` and inner dots is percent-encoded; a word that gets too long is cut
    and ends in `~` and a hash of the whole."""
    encoded = quote(word, safe="").replace("~", "%7E")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if not encoded:
        return "~"
    if len(encoded) <= LONGEST_WORD:
        return encoded
    digest = hashlib.blake2b(word.encode(), digest_size=12).hexdigest()
    kept = encoded[: LONGEST_WORD - len(digest) - 1].rstrip("%")
    return f"{kept}~{digest}"


def word(segment: str) -> str:
    """What `segment` was made of; of a long one its readable beginning with the hash."""
    return "" if segment == "~" else unquote(segment, errors="replace")


def check_name(name: str) -> str:
    """`name` itself, if a store may be asked for it. Raises ValueError: a wrong name is a defect, not bad weather.

    Segments that begin with a dot are the stores' own: half-written objects wait under such names."""
    parts = name.split("/")
    if any(not p or p.startswith(".") or "\0" in p or "\\" in p for p in parts):
        raise ValueError(f"`{name}` cannot be the name of an object")
    return name


def join(directory: str, relative: str) -> str:
    """The name that `relative` means in `directory`; `..` may lead to its neighbours.

    Raises ValueError when it leads out of the store: manifests are input."""
    if posixpath.isabs(relative):
        raise ValueError(f"`{relative}` is not a relative name")
    return check_name(posixpath.normpath(posixpath.join(directory, relative)))


def relative(directory: str, name: str) -> str:
    """How a manifest in `directory` names object `name`: the inverse of `join`."""
    return posixpath.relpath(name, directory or ".")


def task_object(task: TaskId, attempt: int) -> str:
    """The state of one task in a checkpoint, relative to the checkpoint's directory.

    The attempt is in it, so that a task that was given up cannot overwrite what its successor wrote."""
    return f"task-{task.vertex}-{task.subtask}-{attempt}.state"


def in_flight_object(task: TaskId, attempt: int) -> str:
    """Data that unaligned barriers overtook, beside the task's state."""
    return f"task-{task.vertex}-{task.subtask}-{attempt}.inflight"


def section_object(uid: str, section: str, subtask: int) -> str:
    """One section of one operator of one subtask in a savepoint, relative to the savepoint's directory."""
    return f"{segment(uid)}/{segment(section)}/{subtask}.arrow"


def is_section_object(relative: str) -> bool:
    """Whether `section_object` makes such names."""
    parts = relative.split("/")
    number, _, kind = parts[-1].partition(".")
    return len(parts) == 3 and _is_number(number) and kind == "arrow"


@dataclass(frozen=True, slots=True)
class JobPaths:
    """Names of one job's objects, below `root` (empty: the store is the job's own).

    Directories are given without a slash at the end; `prefix_of` makes what finds all that lies in one."""

    root: str

    @staticmethod
    def of(job: str) -> JobPaths:
        """Those of the job called `job` in a store that many jobs share."""
        return JobPaths(segment(job))

    def _below(self, *parts: str) -> str:
        return "/".join((self.root, *parts) if self.root else parts)

    def full(self, name: str) -> str:
        """The name in the store of what is called `name` below the job's root."""
        return self._below(name)

    @property
    def log(self) -> str:
        return self._below(_LOG)

    def log_entry(self, sequence: int) -> str:
        """Entries are numbered 1, 2, 3, …; names ascend with them."""
        return self._below(_LOG, f"{sequence:0{_SEQUENCE_DIGITS}d}.json")

    def sequence_of(self, name: str) -> int | None:
        """The number of a log entry; None for a name that is none."""
        head, _, tail = name.rpartition("/")
        stem, dot, kind = tail.partition(".")
        is_entry = head == self.log and dot and kind == "json"
        return int(stem) if is_entry and _is_number(stem, _SEQUENCE_DIGITS) else None

    @property
    def checkpoints(self) -> str:
        return self._below(_CHECKPOINTS)

    def checkpoint(self, id: int, generation: int | None = None) -> str:
        """The directory of a checkpoint, or of one generation's try at it.

        Two generations may try the same id, when the former does not know yet that it leads no more. What it still
        writes must not come into a directory that the latter commits: objects go into its own one."""
        below = (str(id),) if generation is None else (str(id), f"g{generation}")
        return self._below(_CHECKPOINTS, *below)

    def checkpoint_of(self, name: str) -> int | None:
        """Which checkpoint's directory an object lies in; None for what lies elsewhere."""
        prefix = prefix_of(self.checkpoints)
        if not name.startswith(prefix):
            return None
        id, slash, _ = name[len(prefix) :].partition("/")
        return int(id) if slash and _is_number(id) else None

    def generation_of(self, name: str) -> int | None:
        """Whose try at a checkpoint an object is; None for what lies elsewhere."""
        if self.checkpoint_of(name) is None:
            return None
        try_, slash, _ = name[len(prefix_of(self.checkpoints)) :].partition("/")[2].partition("/")
        return int(try_[1:]) if slash and is_try(try_) else None

    @property
    def shared(self) -> str:
        return self._below(_SHARED)

    def shared_file(self, generation: int, token: str) -> str:
        """A file that several checkpoints may need; `token` is random, so that no name is ever used again."""
        return self._below(_SHARED, str(generation), segment(token))

    def shared_generation_of(self, name: str) -> int | None:
        """Under which generation a shared file was made; None for what is none."""
        prefix = prefix_of(self.shared)
        if not name.startswith(prefix):
            return None
        generation, slash, _ = name[len(prefix) :].partition("/")
        return int(generation) if slash and _is_number(generation) else None

    @property
    def savepoints(self) -> str:
        return self._below(_SAVEPOINTS)

    def savepoint(self, name: str) -> str:
        """The directory of a savepoint."""
        return self._below(_SAVEPOINTS, segment(name))

    def savepoint_of(self, name: str) -> str | None:
        """Which savepoint an object belongs to; None for what lies elsewhere."""
        prefix = prefix_of(self.savepoints)
        if not name.startswith(prefix):
            return None
        encoded, slash, _ = name[len(prefix) :].partition("/")
        return word(encoded) if slash and encoded else None

    @property
    def probes(self) -> str:
        return self._below(_PROBES)

    def probe(self, token: str) -> str:
        """An object that lives for a moment, to find out what the store does."""
        return self._below(_PROBES, segment(token))


@dataclass(frozen=True, slots=True)
class Lives:
    """The jobs of a cluster that have one name, one after the other: each has a uid, and its part of the store.

    A marker, made before a job's first claim, says that there is or was one."""

    namespace: str
    name: str
    uid: str

    @property
    def paths(self) -> JobPaths:
        """Of this one: `<namespace>/<name>/<uid>`."""
        return JobPaths("/".join((self._directory, segment(self.uid))))

    @property
    def marker(self) -> str:
        return f"{self.markers}{segment(self.uid)}"

    @property
    def markers(self) -> str:
        """What the names of all markers begin with."""
        return f"{self._directory}/{_LIVES}/"

    def of_marker(self, name: str) -> JobPaths | None:
        """Whose marker that is; None for what is none."""
        uid = name.removeprefix(self.markers)
        is_one = name.startswith(self.markers) and "/" not in uid
        return JobPaths(f"{self._directory}/{uid}") if is_one and uid else None

    @property
    def _directory(self) -> str:
        return f"{segment(self.namespace)}/{segment(self.name)}"


def prefix_of(directory: str) -> str:
    """What the names of all objects in a directory begin with."""
    return f"{directory}/" if directory else ""


def is_try(segment: str) -> bool:
    """Whether a directory within a checkpoint's is a generation's try at it."""
    return segment[:1] == "g" and _is_number(segment[1:])


def _is_number(text: str, digits: int = 0) -> bool:
    """As we write them: ASCII digits, of this length at least."""
    return text.isascii() and text.isdigit() and len(text) >= max(digits, 1)
