"""`python -m bench.operator_load [--jobs N]`: the operator with hundreds of FlowJobs, against a real API server.

Prints one JSON line: memory (resident, when all jobs run and were looked at for a while), how long it takes from an
edit to a status that has observed it, the share of a core that it takes, and how long it takes to end. Needs what
`make kubernetes` builds."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from urllib3.exceptions import HTTPError

from bench.pretend_cluster import (
    FLOWJOBS,
    JobManagers,
    a_job,
    authority_of,
    cluster,
    give_pods,
    kubeconfig,
)
from tests.e2e.cluster.api import Api, Refusal
from tests.e2e.cluster.control_plane import free_ports

PATH = f"{FLOWJOBS}/jobs/flowjobs"
START_SECONDS = 900.0
STEADY_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.operator_load")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--steady", type=float, default=STEADY_SECONDS, help="seconds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as api:
        config = kubeconfig(api, Path(folder) / "kubeconfig")
        (port,) = free_ports(1)
        log = (Path(folder) / "operator.log").open("wb")
        command = [sys.executable, "-m", "flowjob_operator", "--port", str(port)]
        # Alone, and on a machine with other work: a Lease that is lost to that is no result.
        command += ["--image=flowjob-worker:1", "--lease-duration=300s", "--lease-renewal=200s"]
        environment = {**os.environ, "KUBECONFIG": str(config)}
        operator = subprocess.Popen(command, env=environment, stderr=log)
        try:
            found = asyncio.run(_measure(api, operator.pid, options))
        finally:
            took = _end(operator)
            log.close()
            sys.stderr.write(_worst(Path(folder) / "operator.log"))
    print(json.dumps({**found, "end_seconds": took}), flush=True)
    return 0


def _end(operator: subprocess.Popen[bytes]) -> float | None:
    """Seconds from SIGTERM; None: it had to be killed after a minute."""
    began = time.monotonic()
    operator.send_signal(signal.SIGTERM)
    try:
        operator.wait(60)
    except subprocess.TimeoutExpired:
        operator.kill()
        operator.wait()
        return None
    return round(time.monotonic() - began, 1)


async def _measure(api: Api, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    process = psutil.Process(pid)
    names = [f"job-{n}" for n in range(options.jobs)]
    authority = await _until(lambda: authority_of(api))
    managers = JobManagers(authority)
    runner = await managers.serve()
    try:
        began = time.monotonic()
        await asyncio.to_thread(_make, api, names)
        await _until(lambda: _all_have_sets(api, options.jobs))
        sys.stderr.write(f"all are deployed after {time.monotonic() - began:.0f} s\n")
        await asyncio.to_thread(give_pods, api, names)
        await _until(lambda: _all(api, options.jobs, "Running"))
        started = time.monotonic() - began
        sys.stderr.write(f"{options.jobs} jobs run after {started:.0f} s\n")
        before, asked = _cpu(process), managers.asked
        await asyncio.sleep(options.steady)
        share = (_cpu(process) - before) / options.steady
        polls = (managers.asked - asked) / options.steady
        memory = process.memory_info().rss
        took = await _changes(api, names, options.changes)
        return {
            "name": "operator_load",
            "jobs": options.jobs,
            "all_running_seconds": round(started, 1),
            "rss_mib": round(memory / 2**20, 1),
            "rss_after_changes_mib": round(process.memory_info().rss / 2**20, 1),
            "core_share": round(share, 3),
            "jobmanager_requests_per_second": round(polls, 1),
            "changes": len(took),
            "observe_p50_ms": round(1000 * took[len(took) // 2], 1),
            "observe_p99_ms": round(1000 * took[int(len(took) * 0.99)], 1),
            "observe_max_ms": round(1000 * took[-1], 1),
        }
    finally:
        await runner.cleanup()


def _make(api: Api, names: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: api.create(PATH, a_job(name)), names))


def _all(api: Api, count: int, phase: str) -> bool:
    items = api.get(PATH)["items"]
    return sum((i.get("status") or {}).get("phase") == phase for i in items) == count


def _all_have_sets(api: Api, count: int) -> bool:
    return len(api.get("/apis/apps/v1/namespaces/jobs/statefulsets")["items"]) == count


async def _changes(api: Api, names: list[str], count: int) -> list[float]:
    """Seconds from the start of each edit until a watch has seen a status that has observed it, the shortest first."""
    wanted: dict[str, tuple[int, float]] = {}
    took: list[float] = []
    context = ssl.create_default_context(cafile=str(api.certificates))
    headers = {"Authorization": f"Bearer {api.token}"}
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(ssl=context), read_bufsize=2**22
    ) as session:
        watching = asyncio.create_task(_watch(session, api, wanted, took))
        for n in range(count):
            name = names[(n * 7919) % len(names)]
            began = time.monotonic()
            spec = {"snapshots": {"retention": {"count": 11 + n}}}
            async with session.patch(
                f"{api.address}{PATH}/{name}",
                data=json.dumps({"spec": spec}),
                headers={"Content-Type": "application/merge-patch+json"},
            ) as answer:
                generation = (await answer.json())["metadata"]["generation"]
            wanted[name] = (generation, began)
            await asyncio.sleep(0.1)
        give_up = time.monotonic() + 60
        while len(took) < count and time.monotonic() < give_up:  # noqa: ASYNC110 - a watch fills it
            await asyncio.sleep(0.1)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    if len(took) < count:
        raise RuntimeError(f"{count - len(took)} changes were never observed")
    return sorted(took)


async def _watch(
    session: aiohttp.ClientSession,
    api: Api,
    wanted: dict[str, tuple[int, float]],
    took: list[float],
) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.get(f"{api.address}{PATH}?watch=true", timeout=timeout) as answer:
        async for line in answer.content:
            found = json.loads(line)["object"]
            name = found["metadata"]["name"]
            observed = (found.get("status") or {}).get("observedGeneration") or 0
            if name in wanted and observed >= wanted[name][0]:
                took.append(time.monotonic() - wanted.pop(name)[1])


async def _until(what: Any) -> Any:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            found = await asyncio.to_thread(what)
        except (Refusal, HTTPError):  # also one that takes longer than a client waits
            found = None
        if found:
            return found
        if time.monotonic() > give_up:
            raise TimeoutError("the operator did not get there")
        await asyncio.sleep(5.0)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _worst(log: Path) -> str:
    """Lines about what went wrong, a few."""
    lines = log.read_text(errors="replace").splitlines()
    bad = [line for line in lines if '"level": "error"' in line or '"level": "warning"' in line]
    return "".join(f"{line[:600]}\n" for line in bad[:10])


if __name__ == "__main__":
    sys.exit(main())
