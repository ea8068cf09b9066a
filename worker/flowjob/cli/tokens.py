"""What lets the processes of one job in to each other, when nobody has given them certificates.

Apart from services.py, because a pod needs no more of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from flowjob.runtime.real.taskmanager_process import TOKEN_VARIABLE


def token_of(path: str | None, *, make: bool) -> str:
    """What lets processes of one job in to each other: from a file, or FLOWJOB_TOKEN. `make`: a file that is not there
    is made, for its user only. Raises ValueError."""
    if path is None:
        token = os.environ.pop(TOKEN_VARIABLE, "")
        if not token:
            raise ValueError(f"say where the job's token is, or have it in {TOKEN_VARIABLE}")
        return token
    file = Path(path)
    if make and not file.exists():
        unfinished = file.with_name(f"{file.name}.{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(24))
        try:
            os.link(unfinished, file)  # fails where another one was quicker
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if not token:
        raise ValueError(f"{path} is empty")
    return token
