"""The sweeper on a real erasure set: with a member away it finds every post; without a quorum it decides nothing."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.asyncio import Redis

from processors.sweeper import Sweeper, Swept
from storage.blobs import StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.component.processors.conftest import FIRES_MS, opened
from tests.erasure import ErasureSet, erasure_set, eventually, used

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

NOW_S = FIRES_MS / 1000 + 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErasureSet]:
    """Four members."""
    with erasure_set(tmp_path_factory.mktemp("erasure")) as made:
        yield made


@pytest.fixture
async def world(cluster: ErasureSet, redis: Redis, threads: ThreadPoolExecutor) -> AsyncIterator[Any]:
    """Its store is the set, once each member sees all others: on a busy machine a new one may not yet."""
    await cluster.known()
    async with S3Store(S3Address.parse(cluster.url("sweeper"))) as store:
        yield await opened(store, redis, threads)  # type: ignore[arg-type] - any store does


async def test_posts_are_found_with_a_member_away_and_none_is_given_up_without_a_quorum(
    world: Any, cluster: ErasureSet
) -> None:
    """After FLUSHALL. While the quorum is lost a sweep fails as a whole; afterwards it finds what is left to do."""
    posts = [await world.post(f"user {number}", told=False) for number in range(12)]
    cluster.members[0].kill()
    await world.redis.flushall()
    swept = await Sweeper(world.store, world.redis, every_s=15).sweep(NOW_S)
    assert (swept.posts, swept.unfinished, swept.queued) == (12, 12, 24)
    for one in posts[:6]:
        assert await world.jobs().render_pair(world.moment_id, one) == "ready"

    cluster.members[1].kill()
    await world.redis.flushall()
    with pytest.raises(StoreUnavailable):
        await world.jobs().render_pair(world.moment_id, posts[6])
    with pytest.raises(StoreUnavailable):
        await Sweeper(world.store, world.redis, every_s=15).sweep(NOW_S)
    assert await world.queued() == []

    await cluster.mend()
    await eventually(lambda: used(world.store, cluster.members), "all members are used again")
    swept = await Sweeper(world.store, world.redis, every_s=15).sweep(NOW_S)
    assert swept == Swept(moments=1, posts=12, unfinished=6, queued=12, recounted=12)
    for one in posts[6:]:
        assert await world.jobs().render_pair(world.moment_id, one) == "ready"
