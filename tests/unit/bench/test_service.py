"""The service as ops see it, over several targets and pages."""

import datetime as dt
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bench.service import Service, ServiceError, milliseconds
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService

DEAD = "http://127.0.0.1:1"


@pytest.fixture
async def fake() -> AsyncIterator[tuple[FakeService, Service]]:
    """A fake with seven posts in a moment, behind a dead first target."""
    fake = FakeService()
    async with fake.server() as server, aiohttp.ClientSession() as session:
        assert isinstance(server, TestServer)
        service = Service(session, [DEAD, str(server.make_url("")).rstrip("/")], QUICK, FakeClock())
        moment = await service.open_moment("eu", 1_800_000_000.0004, 120)
        for number in range(7):
            photos = {"front": b"f", "back": b"b"}
            fake.store(f"post-{number}", moment.id, f"user-{number}", photos, 1_800_000_001)
        yield fake, service


async def test_a_moment_opens_at_the_time_asked(fake: tuple[FakeService, Service]) -> None:
    """RFC 3339 in UTC with milliseconds; the second target answers when the first is dead."""
    moment = await fake[1].open_moment("eu", 1_800_000_000.0004, 120)

    assert fake[0].moments[moment.id]["fires_at"] == "2027-01-15T08:00:00.000Z"
    assert milliseconds(moment.closes_at) == 1_800_000_120_000


async def test_all_pages_are_read(fake: tuple[FakeService, Service]) -> None:
    """Three a page make three pages of seven."""
    posts = await fake[1].posts("moment-0")

    assert [post.id for post in posts] == [f"post-{number}" for number in range(7)]
    assert all(post.settled and post.photos.front for post in posts)


async def test_one_post_is_shown_or_not_there(fake: tuple[FakeService, Service]) -> None:
    """404 is an answer, not an error."""
    post = await fake[1].post("post-3")

    assert post is not None
    assert post.user_id == "user-3"
    assert await fake[1].post("nobody") is None


async def test_a_rendition_comes_as_bytes(fake: tuple[FakeService, Service]) -> None:
    """As served."""
    assert (await fake[1].rendition("post-0", "front/thumb"))[:2] == b"\xff\xd8"


async def test_a_refusal_names_the_call() -> None:
    """What was asked and what was said, with its status; dead targets are tried for a while."""
    clock = FakeClock()
    async with aiohttp.ClientSession() as session:
        service = Service(session, [DEAD], QUICK, clock)
        with pytest.raises(ServiceError, match=r"GET /v1/moments/m/summary: .*Cannot connect"):
            await service.summary("m")

    assert len(clock.slept) == 7


def test_milliseconds_are_whole() -> None:
    """No float dust between two clocks."""
    assert milliseconds(dt.datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=dt.UTC)) == 1_767_225_600_123


@pytest.mark.parametrize("target", ["lb.example", "ftp://lb.example", "http://"])
async def test_a_target_that_is_no_url_is_named_at_once(target: str) -> None:
    """Without a pause and another try."""
    clock = FakeClock()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ServiceError, match=f"^{target}/v1/moments is no URL"):
            await Service(session, [target], QUICK, clock).open_moment("eu", 1_800_000_000, 120)
    assert not clock.slept
