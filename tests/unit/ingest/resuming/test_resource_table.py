"""ingest.resuming.resource_table: who finds an upload, which request has it, and every way in which it ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from ingest.admission import Admission, Budget, Rank
from ingest.body.arriving import Arriving, Body, Shed
from ingest.body.buffers import Buffer
from ingest.body.multipart import MultipartReader
from ingest.commits import Commits
from ingest.errors import Refusal
from ingest.metrics import Metrics
from ingest.peers import Arrival
from ingest.resuming import resource_table
from ingest.resuming.beginnings import Beginning
from ingest.resuming.resource import Answered, Resource
from ingest.resuming.resource_table import Resources
from ingest.resuming.versions import NEWEST
from ingest.uploads import ATTEMPT, Try
from storage.records import Moment, from_ms

IDLE_S, AGE_S = 120.0, 600.0
BEGINNING = Beginning(1_790_000_000_000, "/v1/moments/m/posts", CIMultiDict({"Content-Length": "400"}))
MOMENT = Moment(id="m", region="eu", fires_at=from_ms(0), closes_at=from_ms(120_000), window_s=120)
Outcome = web.Response | BaseException | None


def told(**answer: Any) -> web.Response:
    """The answer of a post."""
    made = web.Response(**answer)
    made[ATTEMPT] = "first"
    return made


class Timers:
    """A clock that moves when it is told to, and calls back what is due."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], object], asyncio.TimerHandle]] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Remember it."""
        handle = asyncio.TimerHandle(when, callback, (), asyncio.get_running_loop())
        self.due.append((when, callback, handle))
        return handle

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        ready = [one for one in self.due if one[0] <= self.now]
        self.due = [one for one in self.due if one[0] > self.now]
        for _, callback, handle in ready:
            if not handle.cancelled():
                callback()


class Stage:
    """A node's uploads, and what was counted of them."""

    def __init__(self, parked_bytes: int = 1000) -> None:
        self.timers = Timers()
        self.ends: list[tuple[str, Outcome]] = []
        budget = Budget(requests_max=100, bytes_max=10_000, parked_bytes_max=parked_bytes)
        self.admission = Admission(budget, Commits())
        self.metrics = Metrics(self.admission)
        self.kept = Resources(
            *(self.admission, self.metrics, self.timers, self.ended), hint="h" * 16, idle_s=IDLE_S, age_s=AGE_S
        )

    def ended(self, tried: Try, outcome: Outcome) -> None:
        """Count it."""
        self.ends.append((tried.user_id, outcome))

    def begin(self, user: str = "u", length: int = 400, came: int = 100, lived_s: float = 0.0) -> Resource:
        """An upload of which so many bytes have come."""
        place, _ = self.admission.admit(user, length, Rank.FIRST, 0.0)
        assert place is not None
        buffer = Buffer(length)
        body = Body(place, buffer, MultipartReader(b"x", {}, buffer), None)
        tried = Try(MOMENT, "post-m", user, 1, Arrival(1, "request"), "attempt")
        resource = self.kept.begin(tried, BEGINNING, NEWEST, body, length, lived_s=lived_s)
        self.admission.arrived(place, came)
        return resource

    def move(self, resource: Resource, *, aged: bool = True) -> Arriving:
        """A request has it now."""
        leg = Arriving(resource.body, self.admission)
        self.kept.take(resource, leg, aged=aged)
        return leg

    def count(self, reason: str) -> float:
        """How many ended so."""
        return float(self.metrics.resumable_ended(reason)._value.get())

    async def is_there(self, resource: Resource) -> bool:
        """Whether its user finds it."""
        try:
            return await self.kept.found(resource.token, resource.tried.user_id) is resource
        except Refusal:
            return False


async def test_only_its_user_finds_it() -> None:
    """Another one's token is as if it were not there."""
    stage = Stage()
    resource = stage.begin()
    assert await stage.is_there(resource)
    with pytest.raises(Refusal, match="no-such-upload"):
        await stage.kept.found(resource.token, "other")


async def test_parked_it_is_kept_for_its_time_after_the_last_byte() -> None:
    """A HEAD does not prolong it; a byte does."""
    stage = Stage()
    resource = stage.begin()
    stage.move(resource)
    stage.timers.go(50)
    stage.kept.park(resource)
    assert stage.kept.left_s(resource) == IDLE_S - 50
    stage.timers.go(IDLE_S - 51)
    stage.kept.park(resource)
    assert await stage.is_there(resource)
    stage.timers.go(1)
    assert not await stage.is_there(resource)
    assert (stage.ends, stage.count("expired")) == ([("u", None)], 1)
    assert (stage.admission.requests, stage.admission.held) == (0, 0)


async def test_parked_it_is_not_kept_beyond_its_age() -> None:
    """However active it is."""
    stage = Stage()
    resource = stage.begin()
    for _ in range(6):
        stage.timers.go(99)
        stage.move(resource)
        resource.moved(stage.timers.now)
        stage.kept.park(resource)
    assert await stage.is_there(resource)
    assert stage.kept.left_s(resource) == AGE_S - 594
    stage.timers.go(6)
    assert not await stage.is_there(resource)


async def test_a_later_request_ends_with_the_age_the_first_does_not() -> None:
    """An ordinary upload may take longer, too."""
    stage = Stage()
    first, later = stage.begin("a"), stage.begin("b")
    free = stage.move(first, aged=False)
    bound = stage.move(later)
    stage.timers.go(AGE_S)
    assert free.error is None
    assert isinstance(bound.error, Refusal)
    assert bound.error.code == "no-such-upload"
    assert await stage.is_there(first)
    assert not await stage.is_there(later)


async def test_the_time_that_a_ticket_kept_is_a_part_of_the_age() -> None:
    """Nobody gains ten minutes twice."""
    stage = Stage()
    resource = stage.begin(lived_s=AGE_S - 10)
    stage.kept.park(resource)
    stage.timers.go(9)
    assert await stage.is_there(resource)
    stage.timers.go(1)
    assert not await stage.is_there(resource)


async def test_a_user_has_one_parked_upload() -> None:
    """The next one that is parked or begun ends it; one that moves stays."""
    stage = Stage()
    moving, parked, other = stage.begin(), stage.begin(), stage.begin("other")
    stage.move(moving)
    stage.kept.park(parked)
    stage.kept.park(other)
    newer = stage.begin()
    assert not await stage.is_there(parked)
    assert await stage.is_there(moving)
    stage.kept.park(newer)
    stage.kept.park(moving)
    assert not await stage.is_there(newer)
    assert await stage.is_there(moving)
    assert await stage.is_there(other)
    assert stage.count("replaced") == 2


async def test_a_newer_request_ends_the_older_one() -> None:
    """With a refusal that tells the offset; what has come stays, also where it is too much to be parked."""
    stage = Stage(parked_bytes=99)
    resource = stage.begin()
    leg = stage.move(resource)
    stage.kept.stop(resource)
    assert isinstance(leg.error, Refusal)
    assert (leg.error.code, leg.error.headers["Upload-Offset"]) == ("upload-taken-over", "100")
    assert leg.error.headers["Upload-Complete"] == "?0"
    assert stage.move(resource).error is None
    assert await stage.is_there(resource)


async def test_memory_that_others_need_is_taken_from_the_parked_ones() -> None:
    """The upload is gone, and its bytes are."""
    stage = Stage(parked_bytes=150)
    old, new = stage.begin("a"), stage.begin("b")
    stage.kept.park(old)
    stage.kept.park(new)
    assert not await stage.is_there(old)
    assert await stage.is_there(new)
    assert (stage.count("displaced"), stage.admission.held) == (1, 100)


async def test_more_than_all_parked_ones_may_hold_is_not_kept() -> None:
    """It ends as it is parked."""
    stage = Stage(parked_bytes=99)
    resource = stage.begin()
    stage.kept.park(resource)
    assert not await stage.is_there(resource)
    assert stage.timers.due == []


async def test_requests_wait_while_the_post_is_committed() -> None:
    """Then they find the answer; a failure is 404."""
    stage = Stage()
    resource, bad = stage.begin(), stage.begin("bad")
    stage.kept.settle(resource)
    stage.kept.settle(bad)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.kept.found(resource.token, "u"))
        failing = group.create_task(stage.is_there(bad))
        await asyncio.sleep(0)
        assert not waiting.done()
        stage.kept.answer(resource, resource.tried, told(status=201, body=b"{}", headers={"Location": "/p"}))
        stage.kept.end(bad, "refused", Refusal("bad-photo", "x"))
    found = waiting.result()
    assert isinstance(found, Answered)
    assert (found.status, found.content, found.offset, found.headers["Location"]) == (201, b"{}", 100, "/p")
    assert (found.post_id, found.attempt) == ("post-m", "first")
    assert failing.result() is False
    assert [user for user, _ in stage.ends] == ["u", "bad"]


async def test_an_answer_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long as a parked upload, at most so many, and until it is cancelled."""
    stage = Stage()
    monkeypatch.setattr(resource_table, "ANSWERS_MAX", 2)
    made = [stage.begin(f"u{number}") for number in range(3)]
    for one in made:
        stage.kept.settle(one)
        stage.kept.answer(one, one.tried, told(status=200))
    assert not await stage.is_there(made[0])
    assert isinstance(await stage.kept.found(made[1].token, "u1"), Answered)
    stage.kept.forget(made[1].token)
    assert not await stage.is_there(made[1])
    stage.timers.go(IDLE_S)
    with pytest.raises(Refusal):
        await stage.kept.found(made[2].token, "u2")


async def test_a_node_that_drains_waits_for_its_uploads() -> None:
    """Until the last one has ended; at the end of its time it lets go of the parked ones."""
    stage = Stage()
    await stage.kept.drained(60)
    resource, parked = stage.begin("a"), stage.begin("b")
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(stage.kept.drained(60))
        await asyncio.sleep(0)
        stage.kept.end(resource, "cancelled")
        await asyncio.sleep(0)
        assert not draining.done()
        stage.kept.end(parked, "cancelled")
    left = stage.begin("c")
    stage.kept.park(left)
    await stage.kept.drained(0)
    assert not await stage.is_there(left)
    assert stage.count("drained") == 1


@pytest.mark.parametrize("parked", [False, True], ids=["first request", "after it was parked"])
async def test_an_upload_whose_memory_was_taken_while_it_moved_is_gone(*, parked: bool) -> None:
    """Also for a request that comes before the older one has noticed; admission's sums stay right."""
    stage = Stage()
    resource = stage.begin()
    if parked:
        stage.kept.park(resource)
    leg = stage.move(resource)
    stage.admission.release(resource.body.place)
    resource.body.place.shed()
    assert not await stage.is_there(resource)
    assert isinstance(leg.error, Shed)
    assert (stage.count("displaced"), stage.admission.requests, stage.admission._slow) == (1, 0, 0)
    assert len(stage.admission.parked) == 0
