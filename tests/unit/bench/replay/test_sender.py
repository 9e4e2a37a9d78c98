"""A sender on a real socket: open loop, made ahead within bounds, told in beats, cut off when interrupted."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from bench.client import Client, token
from bench.clock import SystemClock
from bench.config import DEVELOPMENT_SECRET
from bench.connections import Connections
from bench.replay import sender as senders
from bench.replay.beats import Arrival, Beat, Generator
from bench.replay.sender import Sender
from bench.traces.trace import Row
from tests.unit.bench.fake_service import QUICK, FakeService, Faults, MiddleRng

MOMENT = {"fires_at": "2026-01-01T00:00:00.000Z", "closes_at": "2026-01-01T00:02:00.000Z", "window_s": 120}


class Plain:
    """Photos that cost nothing; counts them."""

    def __init__(self) -> None:
        self.made = 0

    def photo(self, key: str, side: Any, size: int) -> bytes:
        """Bytes of that size that begin with key and side."""
        self.made += 1
        return f"{key} {side}".encode().ljust(size, b".")


def arrival(number: int, t: int = 0, up: int = 10**9, size: int = 1000) -> Arrival:
    """An arrival of two photos of so many bytes."""
    user = f"u{number}"
    return Arrival(
        number, Row(t=t, u=user, f=size, b=size, up=up), token(DEVELOPMENT_SECRET, user, "upload", 1_800_000_000)
    )


@asynccontextmanager
async def sending(fake: FakeService, arrivals: list[Arrival], photos: Plain) -> AsyncIterator[Sender]:
    """A sender at the fake."""
    clock = SystemClock()
    async with fake.server() as server, Connections(100, clock) as connections:
        assert isinstance(server, TestServer)
        client = Client(connections, [str(server.make_url("")).rstrip("/")], QUICK, clock, MiddleRng())
        yield Sender(arrivals, photos, client, clock, obey_uplink=True)


async def test_each_beat_tells_what_happened_since_the_one_before() -> None:
    """With the outcome and the digests of every upload that ended."""
    fake = FakeService(Faults(shed=1), moments={"m": MOMENT})
    async with sending(fake, [arrival(0), arrival(1)], Plain()) as sender:
        await sender.send("m", SystemClock().now())
        (beat,) = sender.beats()
        assert sender.beats() == [Beat(generator=1)]
        assert sender.generators() == [Generator(name="this process", offered=2)]

    assert (beat.generator, beat.begun, sorted(beat.statuses), beat.waiting) == (1, 2, [201, 201, 503], ())
    assert {each.outcome.user for each in beat.ended} == {"u0", "u1"}
    for each in beat.ended:
        front = f"{each.outcome.user[1]} front".encode().ljust(1000, b".")
        assert each.sent.front == hashlib.sha256(front).hexdigest()
        assert fake.posts[str(each.outcome.post_id)]["photos"]["front"] == {"sha256": each.sent.front}


async def test_an_upload_in_flight_is_waiting_until_it_is_cut_off() -> None:
    """It is not counted, and arrivals of the next hours are not sent."""
    fake = FakeService(Faults(), moments={"m": MOMENT})
    arrivals = [arrival(0), arrival(1, t=1, up=1000, size=200_000), arrival(2, t=10**10)]
    now = SystemClock().now()
    async with sending(fake, arrivals, Plain()) as sender, asyncio.TaskGroup() as group:
        group.create_task(sender.send("m", now))
        seen: list[Beat] = []
        async with asyncio.timeout(60):
            # The second one has begun and takes minutes. The first one has ended.
            while sum(len(beat.ended) for beat in seen) < 1 or sum(beat.begun for beat in seen) < 2:
                seen += sender.beats()
                await asyncio.sleep(0)
            seen += sender.beats()
        assert seen[-1].waiting == (pytest.approx(now, abs=1e-5),)
        sender.interrupt()
    (last,) = sender.beats()

    assert (last.ended, last.waiting) == ((), ())
    assert sum(beat.begun for beat in seen) == 2
    assert len(fake.posts) == 1


async def test_an_interrupt_before_the_start_sends_nothing() -> None:
    """Whatever came first."""
    fake = FakeService(Faults(), moments={"m": MOMENT})
    async with sending(fake, [arrival(0)], Plain()) as sender:
        sender.interrupt()
        await sender.send("m", SystemClock().now())
        assert sender.beats() == [Beat(generator=1)]


@pytest.mark.parametrize(("room", "made"), [(10**6, 20), (6_000, 6)])
async def test_bodies_are_made_ahead_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch, room: int, made: int
) -> None:
    """All of ten, or as many as exceed the room by one: the rest waits for its time."""
    monkeypatch.setattr(senders, "AHEAD_BYTES_MAX", room)
    photos = Plain()
    later = [arrival(number, t=10**10) for number in range(10)]
    async with (
        sending(FakeService(moments={"m": MOMENT}), later, photos) as sender,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(sender.send("m", SystemClock().now()))
        for _ in range(200):
            await asyncio.sleep(0)
        assert photos.made == made
        sender.interrupt()


async def test_an_arrival_is_made_at_its_time_although_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on what is made early; it never delays an upload."""
    monkeypatch.setattr(senders, "AHEAD_BYTES_MAX", 0)
    fake = FakeService(Faults(), moments={"m": MOMENT})
    async with sending(fake, [arrival(number) for number in range(5)], Plain()) as sender, asyncio.timeout(60):
        await sender.send("m", SystemClock().now() + 0.1)

    assert len(fake.posts) == 5


async def test_a_row_with_breaks_is_an_upload_that_breaks() -> None:
    """At its offsets, with its pauses; without them the upload is whole."""
    row = Row(t=0, u="u", f=1000, b=1000, up=10**9, d=(5, 900), p=(0, 1))
    broken = Arrival(0, row, token(DEVELOPMENT_SECRET, "u", "upload", 1_800_000_000))
    async with sending(FakeService(moments={"m": MOMENT}), [broken, arrival(1)], Plain()) as sender:
        await sender.send("m", SystemClock().now())
        (beat,) = sender.beats()
    found = {ended.outcome.user: ended.outcome for ended in beat.ended}

    assert [attempt.sent for attempt in found["u"].attempts] == [5, 900, found["u"].length]
    assert [attempt.status for attempt in found["u1"].attempts] == [201]
