"""`python -m bench.service_load.kubernetes PORT JOBS CHANGES`: a Kubernetes API with many FlowJobs, which change.

Lists in pages, watches, TokenReview, SubjectAccessReview; CHANGES statuses a second, and now and then a job goes and
another comes. Prints a line when it listens. What it costs is not measured, so objects are kept as they are sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from dataclasses import dataclass, field

from aiohttp import web

from bench.service_load.pieces import SERVICE, Object, flowjob, may, user_of

ROOT = "/apis/flowjob.dev/v1beta1"
REPLACED_EVERY = 20
"""Changes between two jobs that are deleted and made again."""


@dataclass
class Kubernetes:
    """`jobs`: as JSON, by number."""

    jobs: dict[int, bytes] = field(default_factory=dict)
    watchers: set[asyncio.Queue[bytes]] = field(default_factory=set)
    version: int = 1000
    lives: int = 0

    def add(self, number: int) -> None:
        self.version += 1
        self.jobs[number] = json.dumps(flowjob(number, self.version, self.lives)).encode()

    def change(self, number: int) -> None:
        self.add(number)
        self._tell("MODIFIED", self.jobs[number])

    def replace(self, number: int) -> None:
        """Gone, and there again under another uid."""
        gone = json.loads(self.jobs.pop(number))
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", json.dumps(gone).encode())
        self.lives = self.lives % 99 + 1
        self.add(number)
        self._tell("ADDED", self.jobs[number])

    def _tell(self, kind: str, found: bytes) -> None:
        line = b'{"type":"%b","object":%b}\n' % (kind.encode(), found)
        for watcher in self.watchers:
            watcher.put_nowait(line)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("reviews"):
            return self._reviewed(request.path, (await request.json())["spec"])
        if request.headers.get("Authorization") != f"Bearer {SERVICE}":
            return web.json_response({"kind": "Status", "reason": "Unauthorized"}, status=401)
        plural = request.path.rpartition("/")[2]
        if "watch" in request.query:
            return await self._watch(request, plural)
        return self._listed(request, plural)

    def _listed(self, request: web.Request, plural: str) -> web.Response:
        found = sorted(self.jobs) if plural == "flowjobs" else []
        begin = int(request.query.get("continue", 0))
        size = int(request.query.get("limit", len(found) or 1))
        about = {"resourceVersion": str(self.version)}
        if begin + size < len(found):
            about["continue"] = str(begin + size)
        items = b",".join(self.jobs[number] for number in found[begin : begin + size])
        body = b'{"items":[%b],"metadata":%b}' % (items, json.dumps(about).encode())
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        if plural == "flowjobs":
            self.watchers.add(queue)
        try:
            with contextlib.suppress(ConnectionResetError):
                while True:
                    await answer.write(await queue.get())
        finally:
            self.watchers.discard(queue)
        return answer

    def _reviewed(self, path: str, spec: Object) -> web.Response:
        if path.endswith("tokenreviews"):
            user = user_of(spec["token"])
            status: Object = {"authenticated": user is not None}
            if user is not None:
                status["user"] = {"username": user, "uid": user, "groups": ["system:authenticated"]}
        else:
            place = spec["resourceAttributes"].get("namespace", "")
            status = {"allowed": may(spec["user"], place)}
        return web.json_response({"status": status})


async def serve(port: int, jobs: int, changes: float) -> None:
    """For ever."""
    kubernetes = Kubernetes()
    for number in range(jobs):
        kubernetes.add(number)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", kubernetes.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    chance = random.Random(7)
    for count in range(sys.maxsize):
        await asyncio.sleep(1 / changes)
        # Those with a JobManager stay: they are followed.
        number = chance.randrange(50, jobs)
        if count % REPLACED_EVERY:
            kubernetes.change(number)
        else:
            kubernetes.replace(number)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
