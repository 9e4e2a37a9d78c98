"""storage.s3.looks: a change is believed if all members were there from before it was sent until after its answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.s3.endpoint import Endpoint, State
from tests.unit.storage.s3.members import FINE, Member, becomes, objects_at, put, said

HEALTHY = said(200, fields="X-Minio-Write-Quorum: 4\r\n")
DRIVES_MISSING = said(412, fields="X-Minio-Write-Quorum: 4\r\n")


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    """Three members of a MinIO with six drives."""
    seen: set[str] = set()
    made = [Member(seen) for _ in range(3)]
    for one in made:
        one.answers["health"] = HEALTHY
        await one.start()
    yield made
    for one in made:
        await one.stop()


def looks_at(members: list[Member]) -> list[int]:
    """How often each of them was looked at."""
    return [one.looks for one in members]


async def test_changes_that_wait_share_the_next_look(members: list[Member]) -> None:
    """One that runs already began too early for who asks now."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks = objects.endpoints.looks
        await asyncio.gather(*(looks.look() for _ in range(30)))
        assert looks_at(members) == [1, 1, 1]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(looks.look())
            await becomes(lambda: looks_at(members) == [2, 2, 2])
            await asyncio.gather(*(looks.look() for _ in range(30)))
        assert looks_at(members) == [3, 3, 3]


async def test_an_honest_change_costs_a_look(members: list[Member]) -> None:
    """The first one another one before it, which makes the connections."""
    async with objects_at(*(one.url for one in members)) as objects:
        assert await put(objects) == (200, "")
        assert looks_at(members) == [2, 2, 2]
        assert await put(objects) == (200, "")
        assert looks_at(members) == [3, 3, 3]
        assert not any({"LIST", "VERSIONS"} & set(one.asked) for one in members)


@pytest.mark.parametrize(("count", "quorum"), [(1, 4), (2, 3), (3, 0)])
async def test_where_nothing_hides_nobody_looks(members: list[Member], count: int, quorum: int) -> None:
    """One endpoint, a set of four drives, a store that is no MinIO."""
    for one in members:
        one.answers["health"] = said(200, fields=f"X-Minio-Write-Quorum: {quorum}\r\n") if quorum else FINE
    async with objects_at(*(one.url for one in members[:count])) as objects:
        assert await put(objects) == (200, "")
        assert looks_at(members) == [0, 0, 0]


async def test_a_member_that_was_started_again_was_not_there(members: list[Member]) -> None:
    """Whether it is looked at while it is away, or not."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks = objects.endpoints.looks
        before = await looks.before()
        assert await looks.all_since(before)
        assert await looks.before() == before
        await members[1].stop()
        await members[1].start()
        assert not await looks.all_since(before)
        await becomes(lambda: len(members[1].asked) > 0 and not objects.endpoints._checks)
        assert not await looks.all_since(before)
        after = await looks.before()
        assert after not in {0, before}
        assert await looks.all_since(after)


async def test_a_member_that_is_away_is_not_waited_for(members: list[Member]) -> None:
    """Nothing that is written meanwhile is believed without its versions."""
    async with objects_at(*(one.url for one in members)) as objects:
        await members[1].stop()
        await becomes(lambda: objects.endpoints.shaken)
        assert await objects.endpoints.looks.before() == 0
        assert not await objects.endpoints.looks.all_since(0)
        assert looks_at(members) == [0, 0, 0]


async def test_a_missing_drive_shakes_the_store(members: list[Member]) -> None:
    """Its member stays in use."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks = objects.endpoints.looks
        before = await looks.before()
        assert not objects.endpoints.shaken
        members[2].answers["LOOK"] = DRIVES_MISSING
        assert not await looks.all_since(before)
        assert objects.endpoints.shaken
        assert {one.state.name for one in objects.endpoints.all} == {"UP"}
        del members[2].answers["LOOK"]
        assert not await looks.all_since(before)
        assert await looks.before() == 0
        await looks.look()
        assert await looks.all_since(await looks.before())


async def test_a_member_that_does_not_serve_is_not_there(members: list[Member]) -> None:
    """Also while its connection for looks is open, as of one that hangs."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks, first = objects.endpoints.looks, objects.endpoints.all[0]
        assert await looks.before()
        first.state = State.DOWN
        assert await looks.before() == 0


async def test_a_connection_that_ends_as_a_look_begins_was_not_kept(members: list[Member]) -> None:
    """The look connects anew and finds the member, which may have been restarted."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks, first = objects.endpoints.looks, objects.endpoints.all[0]
        before, answered = await looks.before(), looks._answered

        async def ending(endpoint: Endpoint) -> bool:
            if endpoint is first:
                looks._wires[first].close()
            return await answered(endpoint)

        looks._answered = ending  # type: ignore[method-assign]
        assert not await looks.all_since(before)
        assert {one.state for one in objects.endpoints.all} == {State.UP}


async def test_who_gives_up_waiting_ends_no_look(members: list[Member]) -> None:
    """Others wait for the same one."""
    async with objects_at(*(one.url for one in members)) as objects, asyncio.TaskGroup() as tasks:
        looks = objects.endpoints.looks
        before = await looks.before()
        waiting = [tasks.create_task(looks.all_since(before)) for _ in range(3)]
        await becomes(lambda: looks._next is not None)
        waiting[0].cancel()
        assert await asyncio.gather(*waiting[1:]) == [True, True]
        assert waiting[0].cancelled()


@pytest.mark.parametrize("count", [1, 2])
async def test_a_store_that_closes_ends_looks(members: list[Member], count: int) -> None:
    """Who waits is told that members may have gone, whether the look waits as well, or asks already."""
    async with objects_at(*(one.url for one in members)) as objects, asyncio.TaskGroup() as tasks:
        looks = objects.endpoints.looks
        before = await looks.before()
        for one in members:
            one.answers["LOOK"] = None
        waiting = tasks.create_task(looks.all_since(before))
        await becomes(lambda: looks._next is not None)
        await becomes(lambda: looks_at(members) == [count] * 3)
        objects.endpoints.close()
        assert not await waiting


async def test_a_member_that_hangs_ends_a_look(members: list[Member]) -> None:
    """Also for the changes that come later and wait for the next one."""
    async with objects_at(*(one.url for one in members)) as objects, asyncio.TaskGroup() as tasks:
        looks = objects.endpoints.looks
        before = await looks.before()
        members[0].answers["LOOK"] = None
        first = tasks.create_task(looks.all_since(before))
        await becomes(lambda: members[0].looks == 2)
        assert await asyncio.gather(first, *(looks.all_since(before) for _ in range(9))) == [False] * 10
