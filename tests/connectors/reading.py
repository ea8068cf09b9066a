"""Reads a bounded source to its end, without a job."""

from __future__ import annotations

from typing import Any

from flowjob.connectors.base import BadRow, Source
from flowjob.runtime.env import Env


async def read_everything(
    source: Source, env: Env, batch_rows: int = 1000
) -> tuple[list[dict[str, Any]], list[BadRow]]:
    rows: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    enumerator = source.enumerator(env)
    for split in (await enumerator.discover()).splits:
        reader = source.reader(env, split, None, batch_rows)
        try:
            while (read := await reader.read()) is not None:
                rows += read.columns.to_pylist()
                bad += read.bad
        finally:
            await reader.close()
    await enumerator.close()
    return rows, bad


async def read_rows(source: Source, env: Env) -> list[dict[str, Any]]:
    rows, bad = await read_everything(source, env)
    assert bad == []
    return rows
