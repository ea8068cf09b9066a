"""The story of docs/snapshots.md, played as it is printed: a job begins with state, is stopped, corrected, goes on."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowjob.cli.main import main

pytestmark = pytest.mark.processes

PAGE = Path(__file__).parent.parent / "docs" / "snapshots.md"
BLOCK = re.compile(r"^```(python|)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody who does what the page says, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said = ""
        self.job: subprocess.Popen[str] | None = None
        self._blocks = iter(BLOCK.findall(PAGE.read_text()))

    def read_on(self, until: str) -> None:
        """Writes the programs and gives the commands that come next, up to a command that begins so."""
        for language, text in self._blocks:
            if language == "python":
                name = re.match(r"# (\w+\.py)\n", text)
                assert name is not None, f"a program without a name:\n{text}"
                (self.directory / name[1]).write_text(text)
                continue
            for command in text.splitlines():
                self.do(command)
            if text.splitlines()[-1].startswith(until):
                return
        raise AssertionError(f"the page has no command `{until}` any more")

    def do(self, command: str) -> None:
        program, *arguments = shlex.split(command)
        if program == "python":
            self._here(lambda: runpy.run_path(arguments[0], run_name="__main__"), arguments)
        elif arguments[0] == "run":
            self.job = subprocess.Popen(
                [sys.executable, "-m", "flowjob", *arguments, "--no-progress"],
                cwd=self.directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        else:
            self._here(main, [program, *arguments])
            if arguments[0] == "stop":
                self.job_ends()

    def _here(self, work: Callable[[], object], argv: list[str]) -> None:
        """In this process, which has imported everything already; modules of the reader's are forgotten behind it."""
        known, said = set(sys.modules), io.StringIO()
        try:
            with (
                contextlib.chdir(self.directory),
                contextlib.redirect_stdout(said),
                mock.patch.object(sys, "argv", argv),
                mock.patch.object(sys, "path", [str(self.directory), *sys.path]),
            ):
                work()
        except SystemExit as ended:
            if ended.code:
                raise AssertionError(said.getvalue()) from ended
        finally:
            for name in set(sys.modules) - known:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.directory)):
                    del sys.modules[name]
        self.said = said.getvalue()

    def job_ends(self) -> str:
        assert self.job is not None
        said, _ = self.job.communicate(timeout=60)
        assert self.job.returncode == 0, said
        return said

    def pays(self, file: str, *payments: tuple[str, float]) -> None:
        lines = [json.dumps({"account": a, "amount": amount}) for a, amount in payments]
        (self.directory / "payments").mkdir(exist_ok=True)
        (self.directory / "payments" / file).write_text("\n".join(lines) + "\n")

    def sees(self, account: str) -> dict[str, object]:
        """What the job reports of an account, once it does: results are visible with the next checkpoint."""
        while True:
            assert self.job is not None
            assert self.job.poll() is None, self.job.communicate()[0]
            for file in (self.directory / "overdrafts").glob("*.jsonl"):
                for line in file.read_text().splitlines():
                    found: dict[str, object] = json.loads(line)
                    if found["account"] == account:
                        return found
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.job.wait(0.05)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    found = Reader(tmp_path)
    yield found
    if found.job is not None:
        found.job.kill()
        found.job.communicate()


def test_the_examples_of_the_page_run_as_they_are_printed(reader: Reader) -> None:
    limits = {"account": ["anna", "boris"], "largest": [100, 10], "reason": ["old", "new"]}
    pq.write_table(pa.table(limits), reader.directory / "limits.parquet")
    reader.pays("1.jsonl", ("anna", 40.0), ("anna", 40.0), ("boris", 11.0), ("carla", 900.0))

    reader.read_on("flowjob run")
    assert reader.sees("boris") == {"account": "boris", "spent": 11.0, "reason": "new"}
    reader.read_on("flowjob stop")
    reader.read_on("python look.py")
    assert "limits: keyedprocess" in reader.said
    assert "{'key.account': 'anna', 'value': 80.0}" in reader.said

    reader.read_on("flowjob run")
    reader.pays("2.jsonl", ("anna", 60.0), ("anna", 0.5))
    assert reader.sees("anna") == {"account": "anna", "spent": 100.5, "reason": "old"}
