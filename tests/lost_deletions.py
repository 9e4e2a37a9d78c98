"""A Redis that lacks what was just deleted: a replica that was promoted without it, or one with an old snapshot."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis

from tests.e2e.test_processors_harness import until

Servers = Callable[..., AbstractContextManager[str]]
NOWHERE = ("127.0.0.1", 1)


class Losing:
    """A Redis, and what comes after it, which has nothing that was written after `cut`."""

    def __init__(self, primary: Redis, servers: Servers, replica: Redis | None) -> None:
        self.primary, self._servers, self.replica = primary, servers, replica
        self._stack = contextlib.AsyncExitStack()

    async def cut(self) -> None:
        """From now on nothing reaches the copy."""
        if self.replica is not None:
            offset = (await self.primary.info("replication"))["master_repl_offset"]

            async def has_all() -> bool:
                return bool((await self.replica.info("replication"))["slave_repl_offset"] >= offset)

            await until(has_all)
            await self.replica.replicaof(*NOWHERE)
        else:
            await self.primary.save()

    async def successor(self) -> Redis:
        """The primary is gone; who serves now, with the data of `cut`."""
        folder = Path((await self.primary.config_get("dir"))["dir"])
        await self.primary.shutdown(nosave=True)
        if self.replica is not None:
            await self.replica.replicaof("NO", "ONE")
            return self.replica
        url = self._stack.enter_context(self._servers(folder / "dump.rdb"))
        return await self._stack.enter_async_context(Redis.from_url(url))


@contextlib.asynccontextmanager
async def losing(servers: Servers, how: str) -> AsyncIterator[Losing]:
    """With `how` = `failover` a replica comes after the primary, with `restored` a server with its old snapshot."""
    with servers() as first, servers() as second:
        async with Redis.from_url(first) as primary, Redis.from_url(second) as replica:
            if how == "failover":
                await primary.config_set("repl-diskless-sync-delay", 0)  # no other replica will come
                await replica.replicaof("127.0.0.1", urlsplit(first).port)

                async def follows() -> bool:
                    return (await replica.info("replication")).get("master_link_status") == "up"

                await until(follows)
            made = Losing(primary, servers, replica if how == "failover" else None)
            async with made._stack:
                yield made
