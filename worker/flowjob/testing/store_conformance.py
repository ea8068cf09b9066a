"""What every object store must do: `await check_object_store(client, directory)` runs all of it.

Each check is a function named for what it demands; a test suite may parametrise over CHECKS to see them one by one.
It knows the protocol of runtime/storage/object_store.py and no implementation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from flowjob.errors import ObjectMissing, StorageError
from flowjob.runtime.storage.object_store import ObjectStore

RACERS = 16
ROUNDS = 3
LARGE_BYTES = 20 << 20
"""More than one request takes, where a store has a limit."""


class Stores:
    """One client more each time it is asked, all of the same store; `directory` is for local files."""

    def __init__(self, client: Callable[[], ObjectStore], directory: Path) -> None:
        self._client = client
        self._opened: list[ObjectStore] = []
        self.directory = directory

    def open(self) -> ObjectStore:
        self._opened.append(self._client())
        return self._opened[-1]

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


async def _names(store: ObjectStore, prefix: str) -> list[str]:
    return [found.name async for found in store.scan(prefix)]


# -- whole objects


async def what_was_put_is_read_back_by_every_client(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    for name, data in (("back/a", b"one"), ("back/b/c", b""), ("back/d", bytes(range(256)))):
        await one.put(name, data)
        assert await other.get(name) == data
        info = await other.head(name)
        assert info is not None
        assert (info.name, info.size) == (name, len(data))


async def a_put_replaces_the_whole_object(stores: Stores) -> None:
    store = stores.open()
    for data in (b"a long first content", b"short", b"", b"and longer again"):
        await store.put("replaced/x", data)
        assert await store.get("replaced/x") == data
    assert await _names(store, "replaced/") == ["replaced/x"]


async def a_file_is_put_as_it_is_and_stays(stores: Stores) -> None:
    store = stores.open()
    for size in (0, 10, LARGE_BYTES + 1):
        path = stores.directory / f"{size}.bin"
        content = bytes(range(251)) * (size // 251 + 1)
        path.write_bytes(content[:size])
        await store.put(f"file/{size}", path)
        assert path.stat().st_size == size
        assert await store.get(f"file/{size}") == content[:size]
        info = await store.head(f"file/{size}")
        assert info is not None
        assert info.size == size


async def a_large_object_is_put_whole(stores: Stores) -> None:
    store = stores.open()
    content = bytes(range(253)) * (LARGE_BYTES // 253)
    await store.put("large/x", content)
    assert await store.get("large/x") == content
    middle = len(content) // 2
    assert await store.get("large/x", middle, 1000) == content[middle : middle + 1000]


async def a_put_of_a_missing_file_leaves_nothing(stores: Stores) -> None:
    store = stores.open()
    with contextlib.suppress(StorageError, OSError):
        await store.put("nothing/x", stores.directory / "there-is-no-such-file")
        raise AssertionError("putting a file that does not exist raised nothing")
    assert await _names(store, "nothing/") == []


async def readers_see_one_content_or_the_other_while_it_is_replaced(stores: Stores) -> None:
    writer, reader = stores.open(), stores.open()
    contents = [bytes([65 + n]) * 200_000 for n in range(6)]
    await writer.put("whole/x", contents[0])
    is_done = False

    async def write() -> None:
        nonlocal is_done
        for content in contents:
            await writer.put("whole/x", content)
        is_done = True

    async def read() -> None:
        while not is_done:
            seen = await reader.get("whole/x")
            assert seen in contents, f"{len(seen)} bytes of a mixture"
            assert await _names(reader, "whole/") == ["whole/x"]

    await asyncio.gather(write(), read())


# -- parts


async def ranges_are_read_exactly(stores: Stores) -> None:
    store = stores.open()
    data = b"0123456789"
    await store.put("range/x", data)
    for start in (0, 1, 5, 9, 10, 11, 1000):
        assert await store.get("range/x", start) == data[start:]
        for length in (0, 1, 4, 5, 10, 1000):
            assert await store.get("range/x", start, length) == data[start : start + length]
    await store.put("range/empty", b"")
    for start in (0, 3):
        assert await store.get("range/empty", start) == b""
        assert await store.get("range/empty", start, 0) == b""
        assert await store.get("range/empty", start, 5) == b""


async def what_is_not_there_is_missing(stores: Stores) -> None:
    store = stores.open()
    await store.put("missing/there", b"x")
    for name in ("missing/not", "missing/there-not", "missing/deep/er", "missing"):
        assert await store.head(name) is None
        for start, length in ((0, None), (5, None), (0, 0), (2, 2)):
            message = ""
            try:
                await store.get(name, start, length)
            except ObjectMissing as error:
                message = str(error)
            assert name in message, f"reading {name}, which is not there, did not say so"


# -- conditional creation


async def create_makes_an_object_once_and_never_again(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    assert await one.create("create/x", b"first") is True
    assert await other.create("create/x", b"second") is False
    assert await one.create("create/x", b"first") is False
    assert await other.get("create/x") == b"first"
    await one.put("create/put", b"put")
    assert await other.create("create/put", b"created") is False
    await one.delete(["create/x"])
    assert await other.create("create/x", b"third") is True
    assert await one.get("create/x") == b"third"


async def of_many_concurrent_creators_exactly_one_wins(stores: Stores) -> None:
    clients = [stores.open() for _ in range(4)]
    for round in range(ROUNDS):
        name = f"race/{round}/log"
        contents = [f"writer {n}".encode() for n in range(RACERS)]
        won = await asyncio.gather(
            *(clients[n % len(clients)].create(name, contents[n]) for n in range(RACERS))
        )
        winners = [content for content, is_winner in zip(contents, won) if is_winner]
        assert len(winners) == 1, f"{len(winners)} of {RACERS} were told that they had won"
        assert await clients[0].get(name) == winners[0]


# -- names


async def listings_ascend_and_know_their_prefix(stores: Stores) -> None:
    store = stores.open()
    names = [
        "list/a", "list/a-b/c", "list/a.b", "list/a0", "list/ab/1", "list/ab/10", "list/ab/2",
        "list/b/c/d/e", "list/é", "list/z~", "list/日本/語", "listed",
    ]  # fmt: skip
    for name in reversed(names):
        await store.put(name, name.encode())
    inside = sorted(names)
    for prefix in (
        "list/",
        "list",
        "list/a",
        "list/ab/",
        "list/ab/1",
        "list/b/c",
        "list/日",
        "list/q",
    ):
        assert await _names(store, prefix) == [n for n in inside if n.startswith(prefix)]
    sizes = {found.name: found.size async for found in store.scan("list/")}
    assert sizes == {n: len(n.encode()) for n in inside if n.startswith("list/")}


async def objects_say_when_they_were_written(stores: Stores) -> None:
    store = stores.open()
    await store.put("time/a", b"1")
    first = await store.head("time/a")
    listed = [found async for found in store.scan("time/")]
    assert first is not None
    assert [found.name for found in listed] == ["time/a"]
    assert abs(listed[0].modified - first.modified) < 1_000_000


async def names_may_be_long_and_of_any_script(stores: Stores) -> None:
    store = stores.open()
    names = [
        f"names/{name}"
        for name in (
            "a b",
            "ä",
            "日本語",
            "50%",
            "50%25",
            "+",
            "a+b",
            "&=?#",
            "'\"",
            "(x)",
            "~",
            "x" * 240,
        )
    ]
    names.append("names/" + "/".join(["d" * 100] * 6) + "/end")
    for name in names:
        await store.put(name, name.encode())
    for name in names:
        assert await store.get(name) == name.encode()
    assert await _names(store, "names/") == sorted(names)
    await store.delete(names)
    assert await _names(store, "names/") == []


async def names_that_could_lead_elsewhere_are_refused(stores: Stores) -> None:
    store = stores.open()
    for name in ("", "/x", "x/", "a//b", "../x", "a/../b", ".hidden", "a/.b", "."):
        for attempt in (
            store.put(name, b""),
            store.create(name, b""),
            store.get(name),
            store.head(name),
            store.delete([name]),
        ):
            try:
                await attempt
            except ValueError:
                continue
            raise AssertionError(f"the name {name!r} was taken")


# -- deletion


async def deleted_objects_are_gone_and_others_stay(stores: Stores) -> None:
    store = stores.open()
    names = [f"gone/{n // 10}/{n}" for n in range(40)]
    for name in (*names, "gone/2/kept", "gone2"):
        await store.put(name, b"x")
    await store.delete(names)
    assert await _names(store, "gone") == ["gone/2/kept", "gone2"]
    assert await store.head(names[0]) is None
    await store.put(names[0], b"back")
    assert await store.get(names[0]) == b"back"


async def deleting_what_is_not_there_is_no_error(stores: Stores) -> None:
    store = stores.open()
    await store.put("twice/x", b"x")
    await store.delete([])
    await store.delete(["twice/x", "twice/never", "twice/deep/never"])
    await store.delete(["twice/x"])
    assert await _names(store, "twice/") == []


async def puts_and_deletions_side_by_side_do_not_disturb_each_other(stores: Stores) -> None:
    """Where names are directories, the last deletion of one removes it under the hands of the next writer."""
    clients = [stores.open() for _ in range(4)]

    async def come_and_go(client: ObjectStore, who: int) -> None:
        for n in range(6):
            name = f"busy/shared/{who}-{n}"
            await client.put(name, b"x")
            await client.delete([name])
        await client.put(f"busy/shared/{who}", b"last")

    await asyncio.gather(*(come_and_go(c, n) for n, c in enumerate(clients)))
    assert await _names(clients[0], "busy/") == [f"busy/shared/{n}" for n in range(4)]


async def sweeping_touches_no_object(stores: Stores) -> None:
    store = stores.open()
    await store.put("swept/a", b"x")
    await store.create("swept/b/c", b"y")
    await store.sweep("swept/", 1 << 62)
    await store.sweep("", 1 << 62)
    assert await _names(store, "swept/") == ["swept/a", "swept/b/c"]


CHECKS: tuple[Callable[[Stores], Awaitable[None]], ...] = (
    what_was_put_is_read_back_by_every_client,
    a_put_replaces_the_whole_object,
    a_file_is_put_as_it_is_and_stays,
    a_large_object_is_put_whole,
    a_put_of_a_missing_file_leaves_nothing,
    readers_see_one_content_or_the_other_while_it_is_replaced,
    ranges_are_read_exactly,
    what_is_not_there_is_missing,
    create_makes_an_object_once_and_never_again,
    of_many_concurrent_creators_exactly_one_wins,
    listings_ascend_and_know_their_prefix,
    objects_say_when_they_were_written,
    names_may_be_long_and_of_any_script,
    names_that_could_lead_elsewhere_are_refused,
    deleted_objects_are_gone_and_others_stay,
    deleting_what_is_not_there_is_no_error,
    puts_and_deletions_side_by_side_do_not_disturb_each_other,
    sweeping_touches_no_object,
)


async def check_object_store(client: Callable[[], ObjectStore], directory: Path) -> None:
    """Runs every check; raises AssertionError, named after the demand that is not met.

    `client` opens another client of one and the same store, which is empty at first; `directory` is an empty one for
    local files."""
    for check in CHECKS:
        stores = Stores(client, directory)
        try:
            await check(stores)
        except Exception as error:
            raise AssertionError(f"{check.__name__.replace('_', ' ')}: {error!r}") from error
        finally:
            await stores.close()
