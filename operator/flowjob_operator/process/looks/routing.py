"""Which objects are to be looked at because another one has changed: from watches, lists and JobManagers to keys.

Only says "look again", never why. Sits between those who see something and the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowjob_operator.process.cluster.api import Object, Resource
from flowjob_operator.process.cluster.kinds import CONFIGMAPS, FLOWJOBS, FLOWSNAPSHOTS
from flowjob_operator.process.cluster.mirror import (
    JOB_LABEL,
    Mirror,
    Missing,
    News,
    version_of,
)
from flowjob_operator.process.cluster.reading import labels_of
from flowjob_operator.process.cluster.scopes import DEFAULTS_CONFIGMAP, WATCHED
from flowjob_operator.process.cluster.surveying import Canary
from flowjob_operator.process.looks.reconciling import Key

Add = Callable[[Key, bool], None]
"""Takes the key, and whether it is urgent"""


class Routing:
    def __init__(
        self,
        mirror: Mirror,
        canary: Canary,
        add: Add,
        forget: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`forget` is told the uid of what is gone for ever."""
        self._mirror = mirror
        self._forget = forget
        self._canary = canary
        self._add = add

    def watched(self, resource: Resource, kind: str | None, found: Object) -> None:
        """An event of a watch; `kind` None: it was there when the watch began."""
        found.setdefault("apiVersion", resource.api_version)
        found.setdefault("kind", resource.kind)
        uid = found["metadata"]["uid"]
        if kind == "DELETED":
            self._canary.gone(resource.kind, uid)
            self._forget(uid)
            if self._mirror.gone(resource, found):
                self._wake(resource, found, urgent=True)
            return
        self._canary.seen(resource.kind, uid, version_of(found))
        news = self._mirror.note(resource, found)
        if news is not News.NONE:
            self._wake(resource, found, urgent=kind is not None, news=news)

    def listed(self, resource: Resource, found: Object) -> None:
        """News that a list has brought: the watch should tell it, too."""
        if resource in WATCHED:
            self._canary.expect(found)
        self._wake(resource, found, urgent=False)

    def lost(self, resource: Resource, missing: Missing) -> None:
        """Gone, as a list shows. No watch will tell more of it."""
        self._canary.gone(resource.kind, missing.uid)
        self._forget(missing.uid)
        if resource == FLOWJOBS:
            self._add(Key("FlowJob", missing.namespace, missing.name), True)
        elif resource == FLOWSNAPSHOTS:
            self._add(Key("FlowSnapshot", missing.namespace, missing.name), True)
        if missing.job:
            self._add_job(missing.namespace, missing.job, urgent=True)

    def written(self, found: Object) -> None:
        """By this operator: the watch has to tell it, which is no news then. Whoever has written it knows; but nobody
        has looked at a FlowSnapshot that a job's look has made, nor a job at one that a snapshot's look has changed."""
        if any(found.get("kind") == resource.kind for resource in WATCHED):
            self._canary.expect(found)
        if found.get("kind") == FLOWSNAPSHOTS.kind:
            news = News.STATUS if found.get("status") else News.OBJECT
            self._wake(FLOWSNAPSHOTS, found, urgent=True, news=news)

    def job_manager(self, key: tuple[str, str]) -> None:
        """One has something new to say."""
        namespace, job = key
        self._add_job(namespace, job, urgent=True)
        for snapshot in self._mirror.of_job(FLOWSNAPSHOTS, namespace, job):
            status = snapshot.get("status") or {}
            if not status.get("completedAt") and status.get("operationId"):
                self._add(Key("FlowSnapshot", namespace, snapshot["metadata"]["name"]), True)

    def _wake(
        self, resource: Resource, found: Object, *, urgent: bool, news: News = News.OBJECT
    ) -> None:
        about = found["metadata"]
        # A status is written by this operator, which then knows it: a look at it would end in the next.
        own = Key(resource.kind, about.get("namespace", ""), about["name"])  # type: ignore[arg-type]
        for key in self._keys(resource, found):
            if news is News.OBJECT or key != own:
                self._add(key, urgent)

    def _keys(self, resource: Resource, found: Object) -> Iterator[Key]:
        where = found["metadata"]
        namespace, name = where.get("namespace", ""), where["name"]
        if resource == FLOWJOBS:
            yield Key("FlowJob", namespace, name)
            return
        if resource == FLOWSNAPSHOTS:
            yield Key("FlowSnapshot", namespace, name)
            job = ((found.get("spec") or {}).get("jobRef") or {}).get("name")
        else:
            job = labels_of(found).get(JOB_LABEL)
        if job and self._mirror.get(FLOWJOBS, namespace, job) is not None:
            yield Key("FlowJob", namespace, job)
        for owner in where.get("ownerReferences") or []:
            if owner.get("kind") == "FlowSnapshot":
                yield Key("FlowSnapshot", namespace, owner["name"])
        if resource == CONFIGMAPS and name == DEFAULTS_CONFIGMAP:
            for _, each in self._mirror.names(FLOWJOBS, namespace):
                yield Key("FlowJob", namespace, each)

    def _add_job(self, namespace: str, job: str, *, urgent: bool) -> None:
        self._add(Key("FlowJob", namespace, job), urgent)
