"""A token that user's code cannot read: not by any path, not in a child, and everything else still can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowjob.runtime.real.confining import forbid_reading

TRIES = """
import os, subprocess, sys, tempfile, threading
from pathlib import Path
from flowjob.runtime.real.confining import forbid_reading

secret, link = Path(sys.argv[1]), sys.argv[2]
early = secret / "token"
assert early.read_text() == "the token"
why = forbid_reading(Path(link))
print("confined" if why is None else why)

def read(path):
    try:
        open(path).read()
        return "read"
    except PermissionError:
        return "refused"

ways = [early, f"{link}/token", f"{secret}/../{secret.name}/token"]
ways += [f"/proc/self/root{early}", f"/proc/{os.getppid()}/root{early}"]
print(*(read(way) for way in ways))
child = subprocess.run([sys.executable, "-c", f"open({str(early)!r}).read()"], capture_output=True, text=True)
print("refused" if "PermissionError" in child.stderr else "read")
copied = subprocess.run(["cp", str(early), str(secret.parent / "copy")], capture_output=True)
print("refused" if copied.returncode else "read")
beside = secret.parent / "other" / "file"
print(read(beside), read(os.__file__))
with tempfile.TemporaryFile("w+") as made:
    made.write("x")
beside.write_text("written")
print(read(beside))
"""


@pytest.mark.slow
def test_no_way_leads_to_the_token_and_the_rest_is_as_before(tmp_path: Path) -> None:
    secret = tmp_path / "run" / "secrets"
    secret.mkdir(parents=True)
    (secret / "token").write_text("the token")
    (tmp_path / "run" / "other").mkdir()
    (tmp_path / "run" / "other" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    command = [sys.executable, "-c", TRIES, str(secret), str(tmp_path / "link" / "secrets")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    if "no Landlock" in lines[0]:
        assert lines[1].startswith("read")
        return
    assert lines == [
        "confined",
        "refused refused refused refused refused",
        "refused",
        "refused",
        "read read",
        "read",
    ]


def test_where_there_is_no_token_nothing_is_forbidden(tmp_path: Path) -> None:
    assert forbid_reading(tmp_path / "nothing") is None


@pytest.mark.slow
def test_threads_that_run_already_are_said_to_be_in_the_way(tmp_path: Path) -> None:
    text = (
        "import sys, threading; from pathlib import Path\n"
        "from flowjob.runtime.real.confining import forbid_reading\n"
        "stop = threading.Event(); threading.Thread(target=stop.wait).start()\n"
        "print(forbid_reading(Path(sys.argv[1]))); stop.set()"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "threads run already" in done.stdout
