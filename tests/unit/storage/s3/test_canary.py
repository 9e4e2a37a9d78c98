"""storage.s3.canary: an object that cannot be read while two drives are missing tells so before the store's health."""

import pytest

from storage.s3 import looks as module
from storage.s3.canary import KEY
from storage.s3.objects import Objects
from tests.unit.storage.s3.members import FINE, LISTS_NOTHING, MISSING, Member, becomes, objects_at, put, said
from tests.unit.storage.s3.test_looks import members

__all__ = ["members"]

GONE = said(503, "SlowDownRead")


def listed(parity: str) -> bytes:
    """A listing of the canary with so many parity shards, or of another store if that is empty."""
    shards = f"<Internal><K>5</K><M>{parity}</M></Internal>" if parity else ""
    text = f"<ListBucketResult><Contents><Key>{KEY}</Key>{shards}</Contents></ListBucketResult>"
    return f"HTTP/1.1 200 x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def answer(members: list[Member], **answers: bytes) -> None:
    """Let all members answer so: `GET` to a listing of the canary, `HEAD` and `PUT`."""
    for one in members:
        one.answers |= {f"{method} canary": said for method, said in answers.items()}


def asked(members: list[Member]) -> list[str]:
    """What was asked of the canary."""
    return sorted(what for one in members for what in one.canary)


async def found(objects: Objects) -> bool:
    """Whether the first change of a program finds the canary."""
    assert await put(objects) == (200, "")
    return objects.endpoints.looks.canary


@pytest.mark.parametrize(("parity", "fit"), [("1", True), ("0", False), ("2", False), ("", False), ("x", False)])
async def test_the_canary_has_one_parity_shard(
    members: list[Member], parity: str, *, fit: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With more it does not tell that two drives are missing, which is logged."""
    answer(members, GET=listed(parity))
    async with objects_at(*(one.url for one in members)) as objects:
        assert await found(objects) is fit
        assert ("2 parity shards" in caplog.text) is (parity == "2")
        assert asked(members) == (["GET canary", *["HEAD canary"] * 6] if fit else ["GET canary"])


async def test_it_is_made_where_it_is_missing_and_all_is_calm(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a drive is away MinIO would give it more parity."""
    async with objects_at(*(one.url for one in members)) as objects:
        looks = objects.endpoints.looks
        await looks.watch(make=True)  # all are known for a moment only
        await looks.watch(make=False)
        assert asked(members) == ["GET canary"] * 2
        monkeypatch.setattr(module, "STEADY_S", 0.0)
        await looks.watch(make=True)
        assert asked(members).count("PUT canary") == 1
        assert not looks.canary
        answer(members, GET=listed("1"))
        await looks.watch(make=True)
        assert looks.canary
        await looks.watch(make=True)
        assert asked(members).count("PUT canary") == 1


@pytest.mark.parametrize("gone", [GONE, MISSING])
async def test_a_change_after_which_it_cannot_be_read_is_not_believed(
    members: list[Member], gone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one member is enough; the versions are read when the store knows what is missing."""
    monkeypatch.setattr(module, "LAG_S", 0.3)
    answer(members, GET=listed("1"))
    async with objects_at(*(one.url for one in members)) as objects:
        assert await found(objects)
        looks = objects.endpoints.looks
        before = await looks.before()
        assert await looks.all_since(before)
        answer(members[2:], HEAD=gone)
        for one in members:
            one.older = ['"9"']
        assert await put(objects) == (503, "CopiesAway")
        assert objects.endpoints.shaken
        assert await looks.before() == 0
        answer(members, HEAD=FINE)
        await looks.told()
        await looks.look()
        assert await looks.all_since(await looks.before())


async def test_it_is_not_missed_where_nobody_answers_or_it_went(members: list[Member]) -> None:
    """MinIO may remove it; then it is made again later."""
    answer(members, GET=listed("1"))
    async with objects_at(*(one.url for one in members)) as objects:
        assert await found(objects)
        answer(members, HEAD=MISSING, GET=LISTS_NOTHING)
        await objects.endpoints.looks.look()
        assert not objects.endpoints.looks.canary
        for one in members:
            one.canary.clear()
        await objects.endpoints.looks.look()
        assert asked(members) == []


async def test_what_is_missing_is_believed_after_a_look(members: list[Member]) -> None:
    """All members may answer while drives are missing, of which a program that has just begun knows nothing."""
    answer(members, GET=listed("1"))
    for one in members:
        one.answers["GET"] = MISSING
    async with objects_at(*(one.url for one in members)) as objects:
        await objects.endpoints.looks.before()
        answer(members, HEAD=GONE)
        assert not objects.endpoints.shaken
        assert (await objects.call("GET", "x")).status == 404
        await becomes(lambda: objects.endpoints.shaken)
        assert any("LIST" in one.asked for one in members)
