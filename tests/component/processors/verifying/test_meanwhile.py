"""A moment is verified while others change it: nothing is taken for wrong that is not, and no repair undoes theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from processors.verifying.verdicts import Verified
from processors.verifying.verifier import Verifier
from storage import keys
from storage.blobs import Blob
from storage.files import FileStore
from tests.component.processors.verifying.pairs import finish, receive
from tests.component.processors.verifying.test_verifier import spoil, told, verified
from tests.stores import put


class Meanwhile(FileStore):
    """A store in which something happens before this read of a key, counted from 1."""

    def __init__(self, root: Path, key: str, number: int, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__(root)
        self._key, self._left, self._happens = key, number, happens

    async def read(self, key: str) -> bytes:
        """Let it happen first."""
        await self._counted(key)
        return await super().read(key)

    async def read_tail(self, key: str, length: int) -> Blob:
        """Let it happen first."""
        await self._counted(key)
        return await super().read_tail(key, length)

    async def _counted(self, key: str) -> None:
        if key == self._key:
            self._left -= 1
            if self._left == 0:
                await self._happens()


async def while_(world: Any, key: str, number: int, happens: Callable[[], Awaitable[object]]) -> Verified:
    """The moment verified and repaired while this happens."""
    async with Meanwhile(world.store.root, key, number, happens) as store:
        verifier = Verifier(store, world.redis, {"": world.redis}, repairs=True, again_s=0.01)
        return await verifier.moment(world.moment_id)


@pytest.mark.parametrize("number", [2, 3])
async def test_damaged_renditions_that_go_meanwhile_end_no_verification(world: Any, number: int) -> None:
    """With their pair, as retention or a deletion after the moment removes them: there is nothing left to repair."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    await spoil(world, key)

    async def gone() -> None:
        await world.store.delete(key)
        await world.store.delete(keys.intake(world.moment_id, receipt.id))

    found = await while_(world, key, number, gone)
    assert [one for one in told(found) if one[1] == key] == []


async def test_a_post_that_comes_again_is_not_taken_for_the_rest_of_a_deletion(world: Any) -> None:
    """Deleted with renditions left behind; posted again and rendered between two looks."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    renditions = await world.store.read(key)
    await world.delete("ann")
    await put(world.store, key, renditions)

    async def again() -> None:
        await finish(world, "ann")

    found = await while_(world, key, 2, again)
    assert [one for one in told(found) if one[0] == "extra"] == []
    assert await world.record(receipt.id) is not None


async def test_two_verifications_at_once_repair_each_thing_once(world: Any) -> None:
    """What the other one repaired is not wrong any more."""
    lost, damaged, waiting = await finish(world, "ann"), await finish(world, "ben"), await receive(world, "cem")
    await world.store.delete(keys.intake(world.moment_id, lost.id))
    await spoil(world, keys.media(world.moment_id, damaged.id))

    for found in await asyncio.gather(*(verified(world, repairs=True) for _ in range(2))):
        assert found.ok, found.findings

    for receipt in (damaged, waiting):
        assert await world.jobs().render_pair(world.moment_id, receipt.id) == "ready"
    again = await verified(world)
    assert (again.findings, again.posts, again.index) == ([], 3, again.store)


async def test_without_redis_a_repair_does_not_say_that_a_render_was_queued(world: Any, absent_redis: Redis) -> None:
    """The renditions are removed; the next verification queues the render."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    await spoil(world, key)

    found = await verified(world, repairs=True, redis=absent_redis)

    assert told(found) == [("damaged", key, False)]
    assert "verify again" in found.findings[0].detail
    assert told(await verified(world, repairs=True)) == [("unfinished", key, True)]


async def test_renditions_stored_after_the_deletion_make_no_post_again(world: Any) -> None:
    """Of a worker that stood still until the tombstones were removed, and then died: they are removed, not restored."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    renditions = await world.store.read(key)
    await world.delete("ann")
    await world.existence.clear(world.moment_id, receipt.id)
    await world.store.create(key, renditions)

    assert told(await verified(world, repairs=True)) == [("extra", key, True)]
    assert await world.record(receipt.id) is None
