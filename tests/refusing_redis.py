"""Makes a real Redis refuse, in each way that it knows, and mends it again."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError


@contextlib.asynccontextmanager
async def operator(url: str) -> AsyncIterator[Redis]:
    """A client that is connected before anything is broken, and mends the server at the end, so that it can stop."""
    async with Redis.from_url(url, single_connection_client=True) as client:
        await client.ping()
        yield client
        await mend(client)


async def mend(ops: Redis) -> None:
    """Undo whatever was done to it."""
    for words in (
        ("SCRIPT", "KILL"),
        ("REPLICAOF", "NO", "ONE"),
        ("ACL", "SETUSER", "default", "+@all"),
        *(("CONFIG", "SET", *setting) for setting in (("save", ""), ("maxmemory", "0"), ("maxclients", "1000"))),
        *(("CONFIG", "SET", *setting) for setting in (("requirepass", ""), ("min-replicas-to-write", "0"))),
        *(("CONFIG", "SET", *setting) for setting in (("key-load-delay", "0"), ("replica-serve-stale-data", "yes"))),
    ):
        with contextlib.suppress(RedisError):
            await ops.execute_command(*words)


async def readonly(ops: Redis, url: str) -> None:
    """It is a replica, of nobody."""
    await ops.replicaof("127.0.0.1", 1)


async def masterdown(ops: Redis, url: str) -> None:
    """The same, and it does not answer reads from old data."""
    await ops.config_set("replica-serve-stale-data", "no")
    await ops.replicaof("127.0.0.1", 1)


async def oom(ops: Redis, url: str) -> None:
    """It has no memory left for a write."""
    await ops.config_set("maxmemory", 1)


async def noperm(ops: Redis, url: str) -> None:
    """Its user may not write any more."""
    await ops.execute_command("ACL", "SETUSER", "default", "-@write")


async def noreplicas(ops: Redis, url: str) -> None:
    """It must not write alone, and is alone."""
    await ops.config_set("min-replicas-to-write", 1)


async def misconf(ops: Redis, url: str) -> None:
    """Its folder is gone, so that the next snapshot fails."""
    folder = (await ops.config_get("dir"))["dir"]
    await ops.config_set("appendonly", "no")
    await ops.config_set("save", "1 1")
    shutil.rmtree(folder)
    await ops.bgsave()
    while (await ops.info("persistence"))["rdb_last_bgsave_status"] == "ok":
        pass


async def busy(ops: Redis, url: str) -> None:
    """A script without end, past the time after which Redis says so."""
    await ops.config_set("busy-reply-threshold", 1)
    async with Redis.from_url(url, single_connection_client=True) as other:
        await other.ping()
        await other.connection.send_command("EVAL", "while true do end", 0)  # type: ignore[union-attr] # connected
        while True:
            try:
                await ops.ping()
            except RedisError:
                break


async def noauth(ops: Redis, url: str) -> None:
    """It wants a password now, also from those who were here."""
    await ops.config_set("requirepass", "open sesame")
    await ops.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def maxclients(ops: Redis, url: str) -> None:
    """There is room for the operator alone."""
    await ops.config_set("maxclients", 1)
    await ops.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@contextlib.asynccontextmanager
async def loading(ops: Redis, redis_server: Callable[[], AbstractContextManager[str]]) -> AsyncIterator[None]:
    """It takes over another server's data, slowly; inside the block it does so, for seconds."""
    with redis_server() as primary_url:
        address = urlsplit(primary_url)
        async with Redis.from_url(primary_url) as primary:
            await primary.mset({f"key {n}": "x" * 100 for n in range(20_000)})
        await ops.config_set("appendonly", "no")  # it would be written anew, which no SIGTERM interrupts
        await ops.config_set("key-load-delay", 100)
        await ops.config_set("loading-process-events-interval-bytes", 1024)
        await ops.replicaof(address.hostname, address.port)
        while not (await ops.info("persistence"))["loading"]:
            pass
        yield


Cause = Callable[[Redis, str], Awaitable[None]]
# Each is answered to any command, or to every write.
CAUSES: dict[str, Cause] = {
    "READONLY": readonly,
    "MASTERDOWN": masterdown,
    "OOM": oom,
    "NOPERM": noperm,
    "NOREPLICAS": noreplicas,
    "MISCONF": misconf,
    "BUSY": busy,
}
# These close the connection, or do not let it in.
SHUT: dict[str, Cause] = {"NOAUTH": noauth, "max number of clients reached": maxclients}
