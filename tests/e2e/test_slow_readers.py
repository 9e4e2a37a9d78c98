"""A real node under readers who ask for a large picture and do not read it, honest readers beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
from msgspec import structs
from redis.asyncio import Redis

from storage import intake, keys, media
from storage.records import accepted, flagged

from .lone_node import MIB, LoneNode, lone_node, pair, token

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

PICTURE = bytes(range(256)) * 9400  # 2.4 MB
READERS = 600
HONEST_A_S, SECONDS = 3, 12
SEND_QUEUE_MOST = 3 * 64 * 1024  # twice what `landing.py` asks for, as the kernel counts, and the piece that filled it


async def ready_post(node: LoneNode, redis_url: str) -> str:
    """The path of a rendition of a post, made as a worker makes it but for its picture."""
    moment = node.moment()
    assert await node.phone(moment, "owner", pair(60_000), send_s=0.0, until=1e12) == 201
    (stored,) = node.store.glob(f"*/intake/{moment}/*.zip")
    receipt = intake.unpack(stored.read_bytes()).receipt
    ready = structs.replace(flagged(accepted(receipt), receipt.late_by_ms), state="ready")
    _, body = media.pack(ready, {"front-full": media.Image(PICTURE, 1500, 2000)})
    target = Path(node.store, keys.media(moment, stored.stem))
    target.parent.mkdir(parents=True)
    target.write_bytes(body)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()  # it says that the post is not ready; the store is asked then
    return f"/v1/posts/{stored.stem}/photos/front/full"


def unread(port: int) -> list[int]:
    """Bytes that wait in the kernel to be sent, for each of the node's connections."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return [int(f[4].partition(":")[0], 16) for f in map(str.split, lines) if int(f[1].rpartition(":")[2], 16) == port]


async def ask(port: int, path: str, user: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the picture was asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(user)}\r\n\r\n".encode())
    return reader, writer


async def sit(port: int, path: str, user: str) -> None:
    """Ask, read nothing, and ask again when cut off or refused: for ever."""
    while True:
        with suppress(OSError):
            reader, writer = await ask(port, path, user)
            try:
                head = await reader.read(16)
                if head.startswith(b"HTTP/1.1 200"):
                    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110 - unread
                        await asyncio.sleep(0.5)
            finally:
                writer.transport.abort()
        await asyncio.sleep(4)


async def read(port: int, path: str, user: str, until: float) -> bool:
    """Whether an honest reader got the whole picture before that time, asking again when told to."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await ask(port, path, user)
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                if head.startswith(b"http/1.1 200"):
                    return body == PICTURE
            finally:
                writer.close()
        await asyncio.sleep(1)
    return False


async def served(node: LoneNode, path: str) -> int:
    """How many honest readers were, in so many seconds."""
    loop = asyncio.get_running_loop()
    begun, until = loop.time(), loop.time() + SECONDS + 20
    async with asyncio.TaskGroup() as group:
        readers = []
        for number in range(HONEST_A_S * SECONDS):
            await asyncio.sleep(begun + number / HONEST_A_S - loop.time())
            readers.append(group.create_task(read(node.port, path, f"reader{number}", until)))
    return sum(task.result() for task in readers)


@asynccontextmanager
async def sitting(node: LoneNode, path: str, users: int) -> AsyncIterator[None]:
    """Around it, so many connections of so many users sit there."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sit(node.port, path, f"sitter{number % users}")) for number in range(READERS)]
        await asyncio.sleep(2)
        yield
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("users", [1, 50])
async def test_readers_who_do_not_read_cost_bounded_memory_and_keep_nobody_out(
    redis_server: Callable[[], AbstractContextManager[str]], tmp_path: Path, free_port: int, users: int
) -> None:
    """Node and kernel hold so much and no more, honest readers are served, and every place comes back."""
    with (
        redis_server() as url,
        lone_node(tmp_path, url, free_port, in_flight_bytes_max=41 * MIB, body_grace_s=5, body_stall_s=5) as node,
    ):
        path = await ready_post(node, url)
        control = await served(node, path)
        idle = node.resident()
        async with sitting(node, path, users):
            attacked = await served(node, path)
            grown, queues = node.resident() - idle, unread(node.port)
        assert await served(node, path) == control

    print(f"read: {attacked} of {control}; grown {grown / MIB:.0f} MiB; kernel {sum(queues) / MIB:.0f} MiB")  # noqa: T201
    assert control == HONEST_A_S * SECONDS
    assert attacked >= 0.9 * control
    assert grown <= 32 * MIB + READERS * 64 * 1024  # what answers may hold, and what the connections take
    assert max(queues) <= SEND_QUEUE_MOST
