"""The fork server of a TaskManager, as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowjob.runtime.real.processes import spawn_zygote
from flowjob.runtime.real.slot_processes import ForkingLauncher
from flowjob.runtime.real.taskmanager_process import WITH_S3
from flowjob.runtime.real.zygote import import_all

pytestmark = pytest.mark.timeout(120)


def test_it_says_when_slots_can_be_started_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        launcher = ForkingLauncher(tmp_path)
        await launcher.warm(0.0)
        zygote = launcher._zygote
        assert zygote is not None
        assert not zygote.warm.is_set(), "whoever cannot wait is not held up"
        await launcher.warm(100.0)
        assert zygote.warm.is_set()
        assert zygote.lost is None
        await launcher.close()

    asyncio.run(scenario())


def test_what_slots_need_besides_is_imported_once_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needed.py").write_text(
        "def note(): open(__file__ + '.called', 'w').close()\nopen(__file__ + '.imported', 'w').close()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    async def scenario() -> None:
        launcher = ForkingLauncher(tmp_path, spawn_zygote(["needed", "needed:note"]))
        await launcher.warm(100.0)
        assert (tmp_path / "needed.py.imported").exists()
        assert (tmp_path / "needed.py.called").exists()
        await launcher.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("needed", WITH_S3)
def test_what_is_needed_for_s3_is_there(needed: str, capsys: pytest.CaptureFixture[str]) -> None:
    import_all([needed])
    assert capsys.readouterr().err == ""


def test_nobody_waits_for_one_that_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        process, channel = spawn_zygote()
        launcher = ForkingLauncher(tmp_path, (process, channel))
        waiting = asyncio.ensure_future(launcher.warm(100.0))
        await asyncio.sleep(0)
        process.kill()
        await waiting
        assert launcher._zygote is not None
        assert launcher._zygote.lost is not None
        await launcher.close()

    asyncio.run(scenario())
