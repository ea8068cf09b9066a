"""Credentials of S3 from a directory of files named as the environment variables, as Kubernetes mounts a Secret.

botocore asks for them whenever it signs a request: files that have changed are read again then, so a Secret that is
renewed needs no restart. Read in the threads that make requests. It must not know what is asked of S3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flowjob.errors import StorageError

KEY_ID, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
FILES = (KEY_ID, SECRET, TOKEN)
"""The last one may be missing."""

READ_AGAIN = 5
"""So often at most, when files change while they are read."""

State = Sequence[tuple[int, int, int] | None]


class Frozen(NamedTuple):
    """What botocore signs one request with."""

    access_key: str
    secret_key: str
    token: str | None
    account_id: str | None = None


class FileCredentials:
    """As botocore knows credentials: `get_frozen_credentials` and the fields of what that gives.

    Raises StorageError when a file is missing, empty or not readable."""

    method = "flowjob-files"
    account_id = None

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: tuple[State, Frozen] | None = None

    @property
    def access_key(self) -> str:
        return self.get_frozen_credentials().access_key

    @property
    def secret_key(self) -> str:
        return self.get_frozen_credentials().secret_key

    @property
    def token(self) -> str | None:
        return self.get_frozen_credentials().token

    def get_frozen_credentials(self) -> Frozen:
        known, state = self._known, self._state()
        if known is not None and known[0] == state:
            return known[1]
        for _ in range(READ_AGAIN):
            found = Frozen(self._read(KEY_ID) or "", self._read(SECRET) or "", self._read(TOKEN))
            before, state = state, self._state()
            if before == state:  # all of them are of one age
                break
        for name, value in ((KEY_ID, found.access_key), (SECRET, found.secret_key)):
            if not value:
                raise StorageError(
                    f"there is no {name} in {self._directory}, where the credentials of S3 should be: the Secret that "
                    f"is mounted there needs the keys {KEY_ID} and {SECRET}"
                )
        self._known = (state, found)
        return found

    def get_deferred_property(self, name: str) -> Any:
        """As newer versions of botocore ask for single fields."""
        return lambda: getattr(self, name)

    def _read(self, name: str) -> str | None:
        try:
            return (self._directory / name).read_text().strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(
                f"the credentials of S3 in {self._directory / name} cannot be read: {error}"
            ) from None

    def _state(self) -> State:
        found: list[tuple[int, int, int] | None] = []
        for name in FILES:
            try:
                status = (self._directory / name).stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return found


class FileProvider:
    """In botocore's chain, in front of all others: it never passes the question on."""

    METHOD = FileCredentials.method
    CANONICAL_NAME = None

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self) -> FileCredentials:
        return FileCredentials(self._directory)
