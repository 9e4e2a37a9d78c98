"""Cleaning up after a rehearsal: everything is deleted and seen to be gone, and what is not is named."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bench.replay.cleanup import Cleanup, clean_up
from bench.service import Service
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService

PHOTOS = {"front": b"f", "back": b"b"}


@pytest.fixture
async def scene() -> AsyncIterator[tuple[FakeService, Service]]:
    """A moment with seven posts, and a post of another moment."""
    fake = FakeService()
    async with fake.server() as server, aiohttp.ClientSession() as session:
        assert isinstance(server, TestServer)
        service = Service(session, [str(server.make_url("")).rstrip("/")], QUICK, FakeClock())
        for _ in range(2):
            await service.open_moment("eu", 1_800_000_000, 120)
        for number in range(7):
            fake.store(f"post-{number}", "moment-0", f"user-{number}", PHOTOS, 1_800_000_001)
        fake.store("other", "moment-1", "user", PHOTOS, 1_800_000_001)
        yield fake, service


async def test_all_posts_of_the_moment_are_deleted_and_no_others(scene: tuple[FakeService, Service]) -> None:
    """Those that nobody acknowledged, too."""
    found = await clean_up(scene[1], "moment-0", ["post-1"], FakeClock())

    assert found == Cleanup(7)
    assert list(scene[0].posts) == ["other"]
    assert found.words() == "cleanup: 7 posts deleted, all of them gone"


async def test_a_post_that_the_listing_has_not_is_deleted_by_its_id(scene: tuple[FakeService, Service]) -> None:
    """The listing is only an index; and without a listing it is not known whether anything is left."""
    fake, service = scene
    fake.faults.no_posts = True
    found = await clean_up(service, "moment-0", ["post-1", "post-2"], FakeClock())

    assert found.deleted == 2
    assert "post-1" not in fake.posts
    assert "post-3" in fake.posts
    assert len(found.left) == 1
    assert "the posts of moment moment-0 cannot be listed" in found.left[0]


async def test_a_post_that_is_stored_after_its_upload_was_cut_off_is_found(scene: tuple[FakeService, Service]) -> None:
    """The listing is read again until it stays empty."""
    fake, service = scene

    class Late(FakeClock):
        """Time during which a node stores what it had read."""

        async def sleep(self, seconds: float) -> None:
            if not self.slept:
                fake.store("late", "moment-0", "late", PHOTOS, 1_800_000_001)
            await super().sleep(seconds)

    found = await clean_up(service, "moment-0", (), Late())

    assert found == Cleanup(8)
    assert list(fake.posts) == ["other"]


@pytest.mark.parametrize(("fault", "why"), [("undeletable", "403"), ("undead", "still shown after its deletion")])
async def test_what_cannot_be_deleted_is_named(scene: tuple[FakeService, Service], fault: str, why: str) -> None:
    """With the reason; the others are deleted all the same."""
    fake, service = scene
    setattr(fake.faults, fault, "post-3")
    found = await clean_up(service, "moment-0", (), FakeClock())

    assert found.deleted == 6
    (line,) = found.left
    assert line.startswith("post-3: ")
    assert why in line
    assert "6 posts deleted, NOT deleted: post-3: " in found.words()


async def test_a_deletion_is_tried_again(scene: tuple[FakeService, Service]) -> None:
    """A service that is away for a while gets another round."""
    fake, service = scene
    fake.faults.away = 10  # more than the tries of one call
    found = await clean_up(service, "moment-0", ["post-1"], FakeClock())

    assert found == Cleanup(7)


def test_only_some_of_many_leftovers_are_named() -> None:
    """The line stays readable; the report has all."""
    words = Cleanup(0, tuple(f"p{n}: why" for n in range(12))).words()

    assert "p9: why; and 2 more" in words
    assert "p10" not in words
