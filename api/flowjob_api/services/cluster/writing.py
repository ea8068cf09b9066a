"""Writes to FlowJobs and FlowSnapshots: with the caller's own token, by server-side apply, never by force unless asked.

So Kubernetes decides whether they may, its audit names them, and a field that git owns stays git's. Reads the object
afresh before, and binds the write to what it has read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from flowjob_api.auth.callers import Caller
from flowjob_api.clock import Clock
from flowjob_api.problems import Refused
from flowjob_api.schemas.actions import FlowJobWish, ScaleWish, UpgradeWish
from flowjob_api.schemas.problems import FieldProblem
from flowjob_api.services.cluster import memos, owning
from flowjob_api.services.cluster.kubernetes import (
    APPLY,
    ApiError,
    Call,
    Kubernetes,
    Object,
    Unreachable,
)
from flowjob_api.services.cluster.paths import API_VERSION, JOBS, item
from flowjob_api.services.cluster.wishes import change_of, kept_though_removed
from flowjob_api.services.jobs import Asked, Ref

ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Written:
    """The object, and what was asked for as it is remembered on it."""

    found: Object
    memo: memos.Memo


class Writing:
    """As whoever asks."""

    def __init__(self, kubernetes: Kubernetes, clock: Clock) -> None:
        self._kubernetes = kubernetes
        self._clock = clock

    async def read(self, ref: Ref) -> Object:
        """Afresh, as this service: rights were looked at. Raises Refused: NOT_FOUND."""
        try:
            return await self._kubernetes.send(Call("GET", item(JOBS, ref.namespace, ref.name)))
        except ApiError as error:
            raise refused(error) from None
        except Unreachable as error:
            raise Refused("UNREACHABLE", str(error)) from None

    async def change(self, caller: Caller, ref: Ref, asked: Asked) -> Written:
        """Raises Refused."""
        for attempt in range(ATTEMPTS):
            found = await self.read(ref)
            key, wish = marks(caller, asked)
            if (known := _known(found, key, wish)) is not None:
                return Written(found, known)
            check_version(asked.if_match, found)
            change = change_of(asked.wish, found, int(self._clock.wall()))
            body, memo = self._body(found, change, asked, (key, wish))
            try:
                made = await self._apply(caller, ref, body, force=asked.force)
            except ApiError as error:
                # Somebody else has written meanwhile, perhaps only the status.
                is_race = error.status == 409 and not owning.conflicts(error)
                if is_race and attempt + 1 < ATTEMPTS:
                    continue
                raise refused(error) from None
            return Written(made, memo)
        raise Refused("CONFLICT", "the job changes all the time: ask again")

    async def rehearse(self, caller: Caller, ref: Ref, wish: UpgradeWish) -> tuple[Object, Object]:
        """What is, and what would be. Raises Refused."""
        found = await self.read(ref)
        change = change_of(wish, found, int(self._clock.wall()))
        body, _ = self._body(found, change, Asked("Upgrade", wish), ("", ""))
        try:
            return found, await self._apply(caller, ref, body, force=False, dry_run=True)
        except ApiError as error:
            raise refused(error) from None

    async def submit(self, caller: Caller, ref: Ref, body: FlowJobWish, asked: Asked) -> Written:
        """Raises Refused: EXISTS when there is one."""
        key, wish = marks(caller, asked)
        try:
            found = await self.read(ref)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
        else:
            if (known := _known(found, key, wish)) is not None:
                return Written(found, known)
            raise Refused(
                "EXISTS", f"there is a FlowJob {ref.name} in {ref.namespace} already: upgrade it"
            )
        memo = memos.Memo("Submit", 1, self._now(), key, wish)
        annotations = {**body.metadata.annotations, memos.ANNOTATION: memos.written([memo])}
        made = {
            "apiVersion": API_VERSION,
            "kind": "FlowJob",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": body.metadata.labels,
                "annotations": annotations,
            },
            "spec": body.spec,
        }
        try:
            return Written(await self._apply(caller, ref, made, force=asked.force), memo)
        except ApiError as error:
            raise refused(error) from None

    async def send(self, call: Call) -> Object:
        """As the call says. Raises Refused."""
        try:
            return await self._kubernetes.send(call)
        except ApiError as error:
            raise refused(error) from None
        except Unreachable as error:
            raise Refused("UNREACHABLE", str(error)) from None

    def _body(
        self, found: Object, change: dict[str, Any], asked: Asked, mark: tuple[str, str]
    ) -> tuple[Object, memos.Memo]:
        about = found["metadata"]
        generation = int(about.get("generation") or 0)
        if owning.merged(found.get("spec") or {}, change) != found.get("spec"):
            generation += 1
        wanted = asked.wish.parallelism if isinstance(asked.wish, ScaleWish | UpgradeWish) else None
        memo = memos.Memo(asked.kind, generation, self._now(), *mark, wanted)
        ours = owning.owned(found)
        said = owning.merged(
            {"metadata": ours.get("metadata") or {}, "spec": ours.get("spec") or {}},
            {
                "metadata": {
                    "annotations": {memos.ANNOTATION: memos.written([*memos.read(found), memo])}
                },
                "spec": change,
            },
        )
        said["metadata"] |= {
            "name": about["name"],
            "namespace": about["namespace"],
            "uid": about["uid"],
            "resourceVersion": about["resourceVersion"],
        }
        return {"apiVersion": API_VERSION, "kind": "FlowJob", **said}, memo

    async def _apply(
        self, caller: Caller, ref: Ref, body: Object, *, force: bool, dry_run: bool = False
    ) -> Object:
        """Raises ApiError, Refused."""
        query = [("fieldManager", owning.MANAGER), ("force", "true" if force else "false")]
        if dry_run:
            query.append(("dryRun", "All"))
        call = Call(
            "PATCH", item(JOBS, ref.namespace, ref.name), tuple(query), body, APPLY, caller.token
        )
        try:
            return await self._kubernetes.send(call)
        except Unreachable as error:
            raise Refused("UNREACHABLE", str(error)) from None

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="seconds")
        return moment.replace("+00:00", "Z")


def marks(caller: Caller, asked: Asked) -> tuple[str, str]:
    """Of the caller's key and of what was asked for; empty without a key."""
    if asked.key is None:
        return "", ""
    wish = asked.wish.model_dump_json()
    return memos.hashed(caller.user or "", asked.key), memos.hashed(
        asked.kind, asked.snapshot, wish
    )


def _known(found: Object, key: str, wish: str) -> memos.Memo | None:
    """What was asked for before under that key. Raises Refused: KEY_REUSED."""
    for memo in memos.read(found) if key else ():
        if memo.key == key:
            if memo.wish != wish:
                raise Refused("KEY_REUSED", "another request was made under that Idempotency-Key")
            return memo
    return None


def etag_of(found: Object) -> str:
    about = found["metadata"]
    return f"{about.get('uid', '')}.{about.get('generation', 0)}"


def check_version(if_match: str | None, found: Object) -> None:
    """Raises Refused: PRECONDITION_FAILED."""
    if if_match is None or if_match.strip() == "*":
        return
    if f'"{etag_of(found)}"' not in {part.strip() for part in if_match.split(",")}:
        raise Refused("PRECONDITION_FAILED", "the job has changed since: look again, and ask again")


def check_removed(change: dict[str, Any], made: Object) -> list[str]:
    return kept_though_removed(change, made.get("spec") or {})


def refused(error: ApiError) -> Refused:
    """What the API server says, in this service's words: never its own address, never a token."""
    if fields := owning.conflicts(error):
        who = ", ".join(
            f"{one.field} belongs to {one.manager or 'another manager'}" for one in fields
        )
        return Refused(
            "FIELD_OWNED", f"{who}: change it there, or ask with force=true", errors=fields
        )
    match error.status:
        case 401:
            return Refused(
                "UNAUTHENTICATED", "Kubernetes does not take your token any more: log in again"
            )
        case 403:
            return Refused("FORBIDDEN", error.message or "you may not do that")
        case 404:
            return Refused("NOT_FOUND", error.message or "there is no such object")
        case 409 if error.reason == "AlreadyExists":
            return Refused("EXISTS", error.message)
        case 409:
            return Refused(
                "CONFLICT", "the object has changed meanwhile: look again, and ask again"
            )
        case 400 | 422:
            found = [
                FieldProblem(field=str(c.get("field") or ""), message=str(c.get("message") or ""))
                for c in error.causes
            ]
            return Refused("INVALID", error.message or "Kubernetes refuses it", errors=found)
        case 413:
            return Refused("TOO_LARGE", "Kubernetes does not take an object that large")
        case 429:
            return Refused(
                "TOO_MANY", "Kubernetes is asked too much now", headers={"Retry-After": "2"}
            )
    return Refused("UNREACHABLE", "Kubernetes cannot answer now")
