"""`python -m tests.simulation.mutations`: breaks the engine in one place at a time, and says which seed notices.

Each mutation is a text and what takes its place, in a copy of the package. Not a test: it takes minutes, and is for
whoever wants to know what the simulation finds. docs/testing.md has the table."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import flowjob

PACKAGE = Path(flowjob.__file__).parent


@dataclass(frozen=True)
class Mutation:
    """`old` occurs once in `file`, below the package. `faults`: as the simulation's option."""

    name: str
    file: str
    old: str
    new: str
    faults: str = "yes"


MUTATIONS = [
    Mutation(
        "a commit is logged before its manifest is stored",
        "runtime/jobmanager/checkpoints.py",
        "            await self._snapshots.write(manifest, directory)\n"
        "            counts = not store.kind.is_restore_point\n"
        "            counts = counts or await self._snapshots.commit(manifest, directory)\n",
        "            counts = not store.kind.is_restore_point\n"
        "            counts = counts or await self._snapshots.commit(manifest, directory)\n"
        "            await self._snapshots.write(manifest, directory)\n",
    ),
    Mutation(
        "sinks commit before the log says so",
        "runtime/jobmanager/checkpoints.py",
        "            await self._snapshots.write(manifest, directory)\n",
        "            await self._snapshots.write(manifest, directory)\n"
        "            self.handle(ev.Stored(store.checkpoint))\n",
    ),
    Mutation(
        "what sinks have not committed is not carried on",
        "core/coordinator.py",
        "carried = self._ledger.carried(checkpoint)",
        "carried = ()",
    ),
    Mutation(
        "tasks forget what earlier, uncommitted snapshots prepared",
        "runtime/checkpoint/task_snapshot.py",
        '            collected.setdefault(link.node.uid or "", []).append(committable)\n',
        "            if _ == checkpoint:\n"
        '                collected.setdefault(link.node.uid or "", []).append(committable)\n',
    ),
    Mutation(
        "what a restored manifest has pending is not committed",
        "runtime/jobmanager/checkpoints.py",
        "pending = committables.dealt(newest.manifest, graph, restarted or tasks)",
        "pending = ()",
    ),
    Mutation(
        "a channel that has brought its barrier is not blocked",
        "runtime/participant.py",
        "                    gate.block(channel)\n",
        "                    pass\n",
    ),
    Mutation(
        "a snapshot is taken when one barrier is missing",
        "core/alignment.py",
        "return len(arrived | self._ended) == self._channels",
        "return len(arrived | self._ended) >= max(1, self._channels - 1)",
    ),
    Mutation(
        "the last key group of a part is not restored",
        "runtime/checkpoint/restoring.py",
        "stop = min(owned.stop, entry.last_group + 1)",
        "stop = min(owned.stop, entry.last_group)",
    ),
    Mutation(
        "the first key group of a share is not restored",
        "runtime/checkpoint/restoring.py",
        "first = max(owned.start, entry.first_group)",
        "first = max(owned.start + (place.subtask > 0), entry.first_group)",
    ),
    Mutation(
        "a checkpoint is deleted before it is retired",
        "runtime/jobmanager/snapshot_store.py",
        "        if await self._append(Retire(self._generation, checkpoint)):\n"
        "            self._garbage.delete(self.paths.checkpoint(checkpoint))\n",
        "        self._garbage.delete(self.paths.checkpoint(checkpoint))\n"
        "        await self._append(Retire(self._generation, checkpoint))\n"
        "        if True:\n",
    ),
    Mutation(
        "what is retired is never deleted",
        "runtime/jobmanager/snapshot_store.py",
        "            self._garbage.delete(self.paths.checkpoint(checkpoint))\n",
        "",
        faults="no",
    ),
    Mutation(
        "what failed snapshots have left is never deleted",
        "core/retention.py",
        "found = [Discard(c, self._failed.pop(c)) for c in old]",
        "found = []",
        faults="no",
    ),
    Mutation(
        "a start takes needed checkpoints for orphans",
        "runtime/storage/garbage.py",
        'return any(f"{name}/".startswith(inside) for name in kept | self.needed)',
        "return False",
    ),
    Mutation(
        "rows that barriers overtook on their way are not kept",
        "runtime/participant.py",
        "return [*await capture.done, *overtaken, *waiting]",
        "return [*overtaken, *waiting]",
    ),
    Mutation(
        "rows that barriers overtook before they were sent are not kept",
        "runtime/participant.py",
        "return [*await capture.done, *overtaken, *waiting]",
        "return [*await capture.done, *waiting]",
    ),
    Mutation(
        "event time of a restored split is ahead of its rows",
        "runtime/checkpoint/source_splits.py",
        'SplitProgress(largest, row["to_mark"] or 0, row["reached"])',
        'SplitProgress(largest, row["to_mark"] or 0, row["reached"] + 30_000_000)',
    ),
    Mutation(
        "a split is read again from its beginning",
        "runtime/checkpoint/source_splits.py",
        "position=None if position is None else msgspec.msgpack.decode(position)",
        "position=None",
    ),
    Mutation(
        "splits that are read are dealt again",
        "runtime/checkpoint/source_splits.py",
        '            restored.finished.append(row["id"])\n',
        "            pass\n",
    ),
    Mutation(
        "a restart does not wait until it is clear from where",
        "runtime/jobmanager/checkpoints.py",
        "        await self._settled.wait()\n",
        "",
    ),
    Mutation(
        "two leaders may write the same entry of the log",
        "runtime/storage/job_log.py",
        "            if entry is None or entry.token != token:\n                return False\n",
        "            pass\n",
    ),
    Mutation(
        "a source goes on behind a stop",
        "runtime/participant.py",
        "            self.suspended = checkpoint\n",
        "            pass\n",
    ),
    Mutation(
        "operators do not give out what they hold back before a snapshot",
        "runtime/chain.py",
        "        yield from self.emit(operator.flush())\n        yield from self.emit(operator.prepare(barrier))\n",
        "        yield from self.emit(operator.prepare(barrier))\n",
    ),
    Mutation(
        "a barrier passes rows that wait to be sent",
        "runtime/exchange/writer.py",
        "            self._stage.deal()\n        if isinstance(element, Barrier) and element.unaligned",
        "            pass\n        if isinstance(element, Barrier) and element.unaligned",
    ),
    Mutation(
        "after a failed checkpoint no other is taken",
        "core/coordinator.py",
        "            self._schedule.failed(self._now)\n",
        "            self._schedule.failed(self._now + 1e6)\n",
        faults="no",
    ),
    Mutation(
        "attempts write to the same objects",
        "runtime/storage/paths.py",
        'return f"task-{task.vertex}-{task.subtask}-{attempt}.state"',
        'return f"task-{task.vertex}-{task.subtask}.state"',
    ),
    Mutation(
        "the job ends without its final checkpoint's commit",
        "core/coordinator.py",
        "        if self._ledger.waiting():\n            return\n        self._released = True\n",
        "        self._released = True\n",
    ),
]


def _play(mutation: Mutation, seeds: int) -> str:
    with tempfile.TemporaryDirectory(prefix="flowjob-mutation-") as directory:
        package = Path(directory) / "flowjob"
        shutil.copytree(PACKAGE, package)
        path = package / mutation.file
        text = path.read_text()
        if text.count(mutation.old) != 1:
            return f"not possible any more: the text occurs {text.count(mutation.old)} times"
        path.write_text(text.replace(mutation.old, mutation.new))
        command = [sys.executable, "-m", "flowjob.testing.simulation", "--seeds", str(seeds)]
        ran = subprocess.run(
            [*command, "--stop", "--faults", mutation.faults],
            env={**os.environ, "PYTHONPATH": directory},
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"FAILED seed (\d+)", ran.stdout)
    if found is None:
        return f"NOT FOUND in {seeds} seeds {ran.stderr[-500:]}"
    problems = [line for line in ran.stdout.splitlines() if line.startswith("  - ")]
    return f"seed {found[1]}: {problems[0][4:200]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("--seeds", type=int, default=300, help="how many, at most, of each")
    parser.add_argument("--only", default="", help="those with this in their name")
    given = parser.parse_args()
    survived = 0
    for mutation in MUTATIONS:
        if given.only in mutation.name:
            said = _play(mutation, given.seeds)
            survived += not said.startswith("seed")
            print(f"{mutation.name}: {said}", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
