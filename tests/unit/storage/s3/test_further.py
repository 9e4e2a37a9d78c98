"""storage.s3.further: a change during which a member or a drive went is believed by the versions of its key."""

import pytest

from storage.s3.objects import Objects
from tests.unit.storage.s3.members import EXISTS, LISTS_NOTHING, Member, objects_at, put, said
from tests.unit.storage.s3.test_looks import DRIVES_MISSING, members

__all__ = ["members"]


async def changed(objects: Objects, members: list[Member], *older: str) -> tuple[int, str]:
    """The outcome of a change before which nothing was listed; drives go meanwhile, and members have older versions."""
    await put(objects, "first")
    for one in members:
        one.older = [*older]
        one.answers["LOOK"] = DRIVES_MISSING
        one.asked.clear()
    assert not objects.endpoints.shaken
    return await put(objects)


async def test_a_change_that_replaced_what_was_hidden_is_undone(members: list[Member]) -> None:
    """By the id of its own version, at one member."""
    async with objects_at(*(one.url for one in members)) as objects:
        assert await changed(objects, members, '"9"') == (503, "CopiesAway")
        asked = sorted(what for one in members for what in one.asked if what not in {"LOOK", "HEAD", "health"})
        assert asked == ["DELETE", "PUT", "VERSIONS", "VERSIONS", "VERSIONS"]


async def test_a_change_that_replaced_nothing_is_acknowledged(members: list[Member]) -> None:
    """A post that was deleted before is nothing."""
    async with objects_at(*(one.url for one in members)) as objects:
        assert await changed(objects, members) == (200, "")
    async with objects_at(*(one.url for one in members)) as objects:
        for one in members:
            del one.answers["LOOK"]
        assert await changed(objects, members, "", '"9"') == (200, "")


async def test_a_change_whose_versions_are_not_told_is_not_acknowledged(members: list[Member]) -> None:
    """The client asks again."""
    for one in members:
        one.answers["VERSIONS"] = said(403, "AccessDenied")
    async with objects_at(*(one.url for one in members)) as objects:
        assert await changed(objects, members) == (503, "VersionsUnknown")


@pytest.mark.parametrize(("older", "outcome"), [(['"9"'], (503, "CopiesAway")), ([], (412, "PreconditionFailed"))])
async def test_a_change_without_an_answer_is_undone_as_well(
    members: list[Member], older: list[str], outcome: tuple[int, str]
) -> None:
    """The repeat met it, and the caller would read it and take it for acknowledged."""
    async with objects_at(*(one.url for one in members)) as objects:
        await put(objects, "first")
        chosen = min(objects.endpoints.all, key=lambda one: (one.busy, one.used)).url
        for one in members:
            one.answers |= {"LOOK": DRIVES_MISSING, "LIST": LISTS_NOTHING, "PUT": EXISTS}
            if one.url == chosen:
                one.answers["PUT"], one.older = b"no answer\r\n\r\n", older
        assert await put(objects) == outcome
