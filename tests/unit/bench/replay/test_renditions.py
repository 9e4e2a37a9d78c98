"""Renditions: which are fetched and what is wrong with them."""

import aiohttp
from aiohttp.test_utils import TestServer

from bench.replay.renditions import ALL, check_renditions, fault, wanted
from bench.service import Service
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService, Faults, tiny_jpeg


def test_each_post_has_a_thumb_fetched_and_some_have_all() -> None:
    """Front and back in turn; all seven of every third."""
    plan = list(wanted(["a", "b", "c", "d"], 3))

    assert [name for post, name in plan if post == "a"] == list(ALL)
    assert [name for post, name in plan if post in {"b", "c"}] == ["back/thumb", "front/thumb"]
    assert len([1 for post, _ in plan if post == "d"]) == 7


def test_full_is_not_asked_of_an_incomplete_post() -> None:
    """The service says itself that it is still to come; everything else is."""
    plan = list(wanted(["a", "b"], 1, {"b"}))

    assert [name for post, name in plan if post == "a"] == list(ALL)
    assert [name for post, name in plan if post == "b"] == [name for name in ALL if not name.endswith("/full")]


def test_a_good_rendition_has_no_fault() -> None:
    """Decodable, small, silent."""
    assert fault(tiny_jpeg(), "front/thumb") is None


def test_faults_are_named() -> None:
    """Broken, too large, talkative."""
    assert "cannot be decoded" in (fault(b"nothing", "front/thumb") or "")
    assert "cannot be decoded" in (fault(tiny_jpeg()[:200], "front/thumb") or "")
    assert fault(tiny_jpeg(with_exif=True), "front/thumb") == "carries metadata with GPS"
    assert fault(tiny_jpeg(side=400), "front/thumb") == "400 px on the long side, more than 320"
    assert fault(tiny_jpeg(side=400), "composite/feed") is None


async def checked(faults: Faults, post_ids: list[str]) -> list[str]:
    """The faults found at a fake with posts a and b."""
    fake = FakeService(faults, moments={"m": {"closes_at": "2026-01-01T00:00:00.000Z"}})
    for post_id in ("a", "b"):
        fake.store(post_id, "m", post_id, {"front": b"f", "back": b"b"}, 0.0)
    async with fake.server() as server, aiohttp.ClientSession() as session:
        assert isinstance(server, TestServer)
        service = Service(session, [str(server.make_url("")).rstrip("/")], QUICK, FakeClock())
        return await check_renditions(service, post_ids, 20)


async def test_all_good_is_an_empty_list() -> None:
    """Nothing to say."""
    assert await checked(Faults(), ["a", "b"]) == []


async def test_metadata_and_missing_renditions_are_found() -> None:
    """One line each, with the post and the rendition."""
    assert len(await checked(Faults(keep_exif=True), ["a", "b"])) == len(ALL) + 1
    assert "404" in (await checked(Faults(), ["a", "gone"]))[0]
