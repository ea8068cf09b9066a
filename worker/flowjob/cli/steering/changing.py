"""Commands that change a job: what was said becomes a wish, the operation is waited for, and its result is printed.

Each says in the end what has become of it, in one line or in JSON. It must not know who is asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from flowjob.cli.checkpoint_options import seconds
from flowjob.cli.steering.choosing import one_job
from flowjob.cli.steering.output import print_json, progress
from flowjob.cli.steering.plans import plan_lines
from flowjob.cli.steering.where import Where
from flowjob.cli.terminal_text import presentable
from flowjob.client.models import Operation, UpgradeWish
from flowjob.client.steering import RestoreSource, SteeredJob
from flowjob.errors import BadRequest, OperationFailed


@dataclass(frozen=True, slots=True)
class Patience:
    """Whether to wait, and how long: a duration, `0` for ever."""

    wait: bool
    timeout: str

    @property
    def seconds(self) -> float | None:
        return seconds(self.timeout, "--timeout") or None


@dataclass(frozen=True, slots=True)
class Changes:
    """Of an upgrade, as they were written."""

    image: str | None = None
    script: str | None = None
    arg: list[str] | None = None
    config: list[str] | None = None
    parallelism: int | None = None
    mode: str | None = None
    allow_non_restored: bool = False

    @property
    def wish(self) -> UpgradeWish:
        """Raises a usage error for what cannot be meant, and where nothing is said."""
        if self == Changes():
            raise typer.BadParameter(
                "say what is to be other than it is: --image, --script, --arg, --config, --parallelism, --mode"
            )
        modes = {"savepoint": "Savepoint", "laststate": "LastState", "stateless": "Stateless"}
        mode = self.mode and modes.get(self.mode.lower().replace("-", ""))
        if self.mode and not mode:
            raise typer.BadParameter(
                f"`{self.mode}` is none of {', '.join(modes.values())}", param_hint="--mode"
            )
        return UpgradeWish(
            image=self.image,
            script=_text_of(self.script),
            args=changed(self.arg, "--arg"),
            config=changed(self.config, "--config"),
            parallelism=self.parallelism,
            mode=mode or None,
            allow_non_restored=self.allow_non_restored or None,
        )


def changed(pairs: list[str] | None, hint: str) -> dict[str, int | str | None] | None:
    """`["a=1", "b-"]` as what is to be set and removed. Raises a usage error."""
    if not pairs:
        return None
    found: dict[str, int | str | None] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        removed = not equals and name.endswith("-")
        name = name.removesuffix("-") if removed else name
        if not name or not (equals or removed):
            raise typer.BadParameter(f"`{pair}` is neither NAME=VALUE nor NAME-", param_hint=hint)
        if name in found:
            raise typer.BadParameter(f"`{name}` is given twice", param_hint=hint)
        found[name] = None if removed else value
    return found


def _text_of(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise typer.BadParameter(f"{path}: {reason}", param_hint="--script") from None


def upgrade_job(
    where: Where, job: str, changes: Changes, patience: Patience, *, dry_run: bool, force: bool
) -> None:
    """Upgrades, or says what would happen: status 1 if that is nothing because something stands against it."""
    wish = changes.wish
    if not dry_run:
        _do(where, job, patience, "upgrade", lambda j: j.upgrade(wish, force=force))
        return
    with one_job(where, job) as (_, found):
        plan = found.plan_upgrade(wish)
    if where.json:
        print_json(plan)
    else:
        for line in plan_lines(presentable(plan)):
            print(line)
    if not plan.accepted:
        raise OperationFailed("it would be refused, see above", reason="NOT_ACCEPTED")


def scale_job(where: Where, job: str, parallelism: int, patience: Patience, *, force: bool) -> None:
    _do(where, job, patience, "scale", lambda j: j.scale(parallelism, force=force))


def suspend_job(where: Where, job: str, patience: Patience, *, drain: bool, force: bool) -> None:
    _do(where, job, patience, "suspend", lambda j: j.suspend(drain=drain, force=force))


def resume_job(
    where: Where, job: str, parallelism: int | None, patience: Patience, *, force: bool
) -> None:
    _do(where, job, patience, "resume", lambda j: j.resume(parallelism=parallelism, force=force))


def cancel_job(where: Where, job: str, patience: Patience, *, yes: bool, force: bool) -> None:
    confirm(f"Cancel {job} for good, without a savepoint?", yes=yes)
    _do(where, job, patience, "cancel", lambda j: j.cancel(force=force))


def restart_job(where: Where, job: str, reason: str, patience: Patience, *, force: bool) -> None:
    _do(where, job, patience, "restart", lambda j: j.restart(reason, force=force))


def restore_job(
    where: Where, job: str, source: str, patience: Patience, *, yes: bool, force: bool
) -> None:
    confirm(f"Have {job} go back to {source}, and give up what it has done since?", yes=yes)
    found = RestoreSource.of(source)
    _do(where, job, patience, "restore", lambda j: j.restore(found, force=force))


def take_savepoint(where: Where, job: str, name: str, patience: Patience) -> None:
    """Prints where it is."""
    _do(where, job, patience, "savepoint", lambda j: j.savepoint(name or None))


def stop_job(where: Where, job: str, name: str, patience: Patience, *, drain: bool) -> None:
    """With a savepoint; prints where it is."""
    _do(where, job, patience, "stop", lambda j: j.stop(name=name or None, drain=drain))


def verify_snapshot(where: Where, job: str, name: str, patience: Patience) -> None:
    _do(where, job, patience, f"verify {name}", lambda j: j.verify_snapshot(name))


def delete_snapshot(where: Where, job: str, name: str, patience: Patience, *, yes: bool) -> None:
    confirm(f"Delete {name} of {job} with its data?", yes=yes)
    _do(where, job, patience, f"delete {name}", lambda j: j.delete_snapshot(name))


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person. A program has to say --yes: what cannot be asked is not done."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadRequest(
            "this cannot be undone, and there is nobody to ask",
            next_step="Say --yes if it is meant",
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(0)


def _do(
    where: Where,
    job: str,
    patience: Patience,
    verb: str,
    begin: Callable[[SteeredJob], Operation],
) -> None:
    longest = patience.seconds
    with one_job(where, job) as (asked, found):
        operation = begin(found)
        if patience.wait:
            with progress(f"{verb} {found.name}", quiet=where.json) as tell:
                operation = asked.wait(operation, timeout=longest, on_progress=tell)
    if where.json:
        print_json(operation)
        return
    for line in outcome(presentable(operation), verb):
        print(line)


def outcome(operation: Operation, verb: str) -> list[str]:
    """What has become of it, for people. A path alone on the first line, so that a shell can take it."""
    if not operation.is_over:
        return [f"{verb}: begun, as operation {operation.id}"]
    result = operation.result
    lines = []
    # Of what only passes through one, nobody asked for its place.
    wanted = operation.kind not in ("Scale", "Restart", "Upgrade")
    if wanted and result is not None and result.snapshot is not None:
        lines.append(result.snapshot.path or result.snapshot.name or "")
    notes = result.notes if result is not None else []
    if not lines:
        width = f", parallelism {result.parallelism}" if result and result.parallelism else ""
        lines.append(f"{verb}: done{width}")
    return lines + [f"  {note}" for note in notes]
