"""The flowjob command: words, options, exit statuses, last words."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

import flowjob as fj
from flowjob import errors
from flowjob.cli.checkpoint_options import CheckpointOptions
from flowjob.cli.cluster_services import PodOptions
from flowjob.cli.commands import arguments_of
from flowjob.cli.everything import app
from flowjob.cli.exits import EXIT_CANCELLED, EXIT_FAILED, EXIT_USAGE, exit_status, exit_with
from flowjob.cli.main import PROCESSES, main, of_pod
from flowjob.runtime.jobmanager.request import StartFrom
from tests.cluster.job_files import a_job_file


def test_arguments_are_pairs() -> None:
    assert arguments_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    assert arguments_of(None) == {}


@pytest.mark.parametrize("pairs", [["a"], ["=1"], ["a b=1"], ["a=1", "a=2"]])
def test_what_is_no_pair_is_a_usage_error(pairs: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        arguments_of(pairs)


def user_error() -> errors.UserCodeFailed:
    return errors.UserCodeFailed(
        user_traceback="Traceback …\nZeroDivisionError: x", operator="map", row="Row(1)", subtask=0
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (user_error(), EXIT_FAILED),
        (errors.WorkerLost("slot 1 was killed"), EXIT_FAILED),
        (errors.LostLeadership("another one leads"), EXIT_FAILED),
        (errors.NotDone("the name is taken"), EXIT_FAILED),
        (errors.JobCancelled("SIGINT"), EXIT_CANCELLED),
        (errors.UnknownColumn("a", ["b"]), EXIT_USAGE),
        (errors.SchemaError("no"), EXIT_USAGE),
    ],
)
def test_each_kind_of_end_has_its_status(error: errors.FlowjobError, status: int) -> None:
    assert exit_status(error) == status
    assert exit_with(error, io.StringIO()) == status


def test_a_users_error_shows_their_traceback_first() -> None:
    out = io.StringIO()
    exit_with(user_error(), out)
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["Traceback …", "ZeroDivisionError: x"]
    assert lines[2:4] == ["in operator: map (subtask 0)", "row: Row(1)"]
    assert lines[4].startswith("error[USER_CODE]")


def test_any_other_error_is_one_message_with_its_code() -> None:
    out = io.StringIO()
    exit_with(errors.UnknownColumn("orgin", ["origin"]), out)
    assert out.getvalue().startswith("error[UNKNOWN_COLUMN]: no column `orgin`.")


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (["--no-checkpoints", "--from", "latest"], "nothing to say about checkpoints"),
        (["--no-checkpoints", "--endpoint", "http://x"], "nothing to say about checkpoints"),
        (["--allow-non-restored"], "nothing is restored without --from"),
    ],
)
def test_options_that_would_say_nothing_are_refused(options: list[str], refusal: str) -> None:
    result = CliRunner().invoke(app, ["run", "job.py", *options])
    assert result.exit_code == EXIT_USAGE
    assert refusal in result.output


def test_a_time_that_cannot_be_is_no_line_of_the_program_s_fault() -> None:
    with pytest.raises(errors.PlanError, match=r"interval is 0\.0") as refused:
        CheckpointOptions(interval=timedelta()).of(fj.Job("j"))
    assert refused.value.where is None


def test_an_endpoint_needs_a_place_on_it() -> None:
    directory = CheckpointOptions(endpoint="http://x", location="/data")
    with pytest.raises(errors.PlanError, match="neither --checkpoints nor --from is an s3://"):
        directory.of(fj.Job("j"))
    for place in ("s3://b/p", None):
        kept = fj.Job("j", checkpoints=fj.Checkpoints(location="s3://bucket/prefix"))
        given = CheckpointOptions(endpoint="http://x", location=place).of(kept)
        assert given is not False
        assert given.endpoint == "http://x"
    begun = CheckpointOptions(endpoint="http://x", start=StartFrom("s3://b/savepoint"))
    assert begun.of(fj.Job("j"))


def test_without_a_command_the_help_is_shown() -> None:
    shown = CliRunner().invoke(app, [])
    assert {"run", "explain", "setup"} <= set(shown.output.split())


def test_the_version_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"9.9-{name}")
    assert CliRunner().invoke(app, ["--version"]).output == "flowjob 9.9-flowjob\n"


def test_a_script_that_is_not_there_ends_with_a_usage_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["flowjob", "explain", "nowhere.py"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_USAGE
    assert "error[PLAN]: there is no file `nowhere.py`" in capsys.readouterr().err


JOB = """
import flowjob as fj
job = fj.Job("j")
job.write(job.read(fj.collection([{"x": 1}])).map(lambda row: row.x), fj.show())
"""

STREAMS = """
import os, socket, sys
from flowjob.cli.main import open_standard_streams
open_standard_streams()
assert None not in (sys.stdin, sys.stdout, sys.stderr)
assert all(os.get_inheritable(number) for number in (0, 1, 2))
assert sys.stdin.read() == "" and sys.stdout.write("x") and sys.stderr.write("x")
with socket.socket() as ours:
    assert ours.fileno() > 2
"""


def in_shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command behind `python`, with its redirections. Whoever hangs is ended by the test's own limit."""
    return subprocess.run(
        f"exec {sys.executable} {command}",
        shell=True, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_lead_nowhere_and_leave_their_numbers_to_nobody(
    tmp_path: Path, closed: str
) -> None:
    (tmp_path / "streams.py").write_text(STREAMS)
    assert in_shell(f"streams.py {closed}", tmp_path).returncode == 0


@pytest.mark.processes
def test_a_job_runs_with_all_standard_streams_closed(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(JOB)
    ended = in_shell("-m flowjob run tiny.py --no-progress <&- >&- 2>&-", tmp_path)
    assert ended.returncode == 0


FULL = "error: output could not be written: No space left on device\n"


@pytest.mark.slow
def test_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    ended = in_shell("-m flowjob --version >/dev/full", tmp_path)
    assert (ended.returncode, ended.stderr) == (EXIT_FAILED, FULL)


@pytest.mark.processes
def test_tables_of_a_job_that_cannot_be_written_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(JOB)
    ended = in_shell("-m flowjob run tiny.py --no-progress >/dev/full", tmp_path)
    assert (ended.returncode, ended.stderr) == (EXIT_FAILED, FULL)


@pytest.mark.slow
def test_help_imports_nothing_but_what_parsing_needs() -> None:
    program = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from flowjob.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('numpy', 'pyarrow', 'numba', 'rich', 'msgspec', 'http.client', 'ssl', 'asyncio', 'kubernetes')\n"
        "print('IMPORTED', *[name for name in heavy if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "IMPORTED"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    script = CliRunner().invoke(app, ["completion", shell]).stdout
    assert "_FLOWJOB_COMPLETE" in script


def test_a_shell_that_cannot_be_told_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["completion", "cmd"]).exit_code == EXIT_USAGE


def test_words_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "flowjob sus")
    monkeypatch.setenv("COMP_CWORD", "1")
    environment = {"_FLOWJOB_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], prog_name="flowjob", env=environment)
    assert done.stdout.split() == ["suspend"]


def test_an_error_is_an_object_for_a_program() -> None:
    out = io.StringIO()
    error = errors.Conflict("it has changed", status=409, reason="CONFLICT", next_step="look")
    assert exit_with(error, out, as_json=True) == 6
    assert json.loads(out.getvalue())["error"] == {
        "code": "CONFLICT", "message": "it has changed", "exitStatus": 6, "reason": "CONFLICT", "status": 409,
        "nextStep": "look",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("word", [PROCESSES[0], PROCESSES[-1]])
def test_a_process_of_a_job_does_not_wait_for_words_that_it_does_not_mean(word: str) -> None:
    program = (
        f"import sys; sys.argv[1:] = [{word!r}, '--help']\n"
        "from flowjob.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: print('ENDED', ended.code, 'flowjob.cli.everything' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "ENDED 0 False"


@pytest.mark.parametrize(
    ("arguments", "means"),
    [
        ("jobmanager --job-file /a/job.json", PodOptions("/a/job.json")),
        (
            "taskmanager --directory /d --job-file f --token-file t",
            PodOptions("f", "t", "/d"),
        ),
        ("jobmanager", None),
        ("jobmanager job.py", None),
        ("jobmanager job.py --job-file f", None),
        ("jobmanager --job-file", None),
        ("jobmanager --job-file --help", None),
        ("jobmanager --job-file f --listen :1", None),
        ("taskmanager --jobmanager h:1 --token-file t", None),
        ("preflight --job-file f", None),
        ("", None),
    ],
)
def test_only_what_the_operator_says_is_read_as_a_pods_command(
    arguments: str, means: PodOptions | None
) -> None:
    assert of_pod(arguments.split()) == means


@pytest.mark.slow
def test_a_pod_without_a_token_is_told_so_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(msgspec.json.encode(a_job_file(tmp_path, probe_port=0)))
    ended = in_shell(f"-m flowjob jobmanager --job-file {file}", tmp_path)
    assert ended.returncode == EXIT_USAGE
    assert "error[PLAN]: --token-file: say where the job's token is" in ended.stderr


@pytest.mark.slow
def test_a_pods_process_imports_nothing_of_what_reads_a_persons_command() -> None:
    program = (
        "import sys; sys.argv[1:] = ['jobmanager', '--job-file', '/nowhere']\n"
        "from flowjob.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: print('ENDED', ended.code, *{'typer', 'click', 'pydantic'} & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == f"ENDED {EXIT_USAGE}"
    assert "/nowhere: No such file or directory" in ended.stderr
