"""Keeps a process, and all that it starts, from reading the files of one directory: by Landlock, which needs no rights.

For the token of a pod's ServiceAccount: a JobManager imports its user's module, and what that may do with the API is
nobody's intention. It cannot be undone, counts for the calling thread and what that starts, and so comes first: before
any thread, and before any of the user's code. Where the kernel has no Landlock, it says so."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import threading
from pathlib import Path

TOKEN_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls, of the same numbers on every machine."""

_READ_FILE = 1 << 2
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38


def forbid_reading(directory: Path) -> str | None:
    """From now on no file in `directory` can be opened for reading. None when that is so, or where there is no such
    directory; else why it is not, for people.

    Everything else stays readable, but for files that are made later right beside the directories on the way to it."""
    if not directory.exists():
        return None
    if threading.active_count() > 1:
        return "threads run already that would not be kept from it"
    try:
        ruleset = _call(_CREATE_RULESET, struct.pack("=Q", _READ_FILE), 8, 0)
    except OSError as error:
        return f"this kernel has no Landlock ({error.strerror})"
    try:
        for path in _beside(Path(os.path.realpath(directory))):
            _allow(ruleset, path)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        _call(_RESTRICT_SELF, ruleset, 0)
    except OSError as error:
        return f"the kernel refuses it ({error.strerror})"
    finally:
        os.close(ruleset)
    return None


def _beside(directory: Path) -> list[Path]:
    """All that lies beside the directories on the way to `directory`, the root's part of it included."""
    found = []
    for parent in directory.parents:
        on_the_way = next(iter(directory.relative_to(parent).parts))
        found += [parent / name for name in os.listdir(parent) if name != on_the_way]
    return found


def _allow(ruleset: int, path: Path) -> None:
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):  # what it leads to has its own place
            return
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it has just gone
        return
    try:
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", _READ_FILE, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes) -> int:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
