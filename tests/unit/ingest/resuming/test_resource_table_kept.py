"""ingest.resuming.resource_table: commits that fail, the end of a drain, and that an upload ends once."""

import asyncio

from ingest.errors import Refusal
from ingest.resuming import resource_table
from ingest.resuming.beginnings import BEGUN
from tests.unit.ingest.resuming.test_resource_table import IDLE_S, Stage


async def test_a_commit_that_failed_through_our_fault_leaves_all_bytes() -> None:
    """Parked for as long as after a byte; nothing may be added, and the memory stays for a PUT that may read it."""
    stage = Stage()
    resource = stage.begin()
    resource.length = None
    stage.move(resource)
    stage.timers.go(50)
    stage.kept.settle(resource)
    assert stage.kept.pause_s(resource) == 0
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.kept.found(resource.token, "u"))
        await asyncio.sleep(0)
        stage.kept.reopen(resource)
    assert waiting.result() is resource
    assert (resource.length, resource.body.place.length, resource.body.buffer.lent) == (100, 100, True)
    assert stage.kept.pause_s(resource) == resource_table.PAUSE_S
    stage.timers.go(IDLE_S - 1)
    assert stage.kept.pause_s(resource) == 0
    assert await stage.is_there(resource)
    stage.timers.go(1)
    assert not await stage.is_there(resource)


async def test_at_the_end_of_a_drain_those_that_move_are_told_so() -> None:
    """With what the balancer needs for a ticket, unless it is the creation itself; what is committed goes on."""
    stage = Stage()
    first, later, settling = (stage.begin(user) for user in "abc")
    creating, leg = stage.move(first), stage.move(later)
    stage.kept.stop(later)
    leg = stage.move(later)
    stage.kept.settle(settling)
    await stage.kept.drained(0)
    for one, begun in ((creating, False), (leg, True)):
        assert isinstance(one.error, Refusal)
        assert (one.error.status, one.error.code, BEGUN in one.error.headers) == (503, "overloaded", begun)
        assert one.error.headers["Upload-Complete"] == "?1"
        assert one.error.headers["Retry-After"] == "1"
    assert settling.settled is not None
    assert not settling.settled.is_set()
    assert (stage.count("drained"), stage.admission.requests) == (2, 1)


async def test_an_upload_ends_once() -> None:
    """Whatever comes later changes nothing."""
    stage = Stage()
    resource = stage.begin()
    stage.kept.end(resource, "cancelled")
    stage.kept.end(resource, "expired")
    assert (len(stage.ends), stage.count("expired"), stage.admission.requests) == (1, 0, 0)
