"""storage.s3.replaced: versions of a key tell whether a change replaced what members hid."""

from collections.abc import Sequence
from typing import Literal

import pytest

from storage.s3.answer import Answer
from storage.s3.hidden import AWAY
from storage.s3.replaced import UNKNOWN, replaced

OWN, OLD, OLDER = '"1"', '"2"', '"3"'
GONE = Answer(204)


def listed(*tags: str, ids: Sequence[str] = "abcde") -> Answer:
    """Versions of `k` with these tags, the newest first; "" is a delete marker."""
    rows = "".join(
        f"<Version><Key>k</Key><VersionId>{name}</VersionId><ETag>{tag}</ETag></Version>"
        if tag
        else f"<DeleteMarker><Key>k</Key><VersionId>{name}</VersionId></DeleteMarker>"
        for tag, name in zip(tags, ids, strict=False)
    )
    other = f"<Version><Key>k2</Key><VersionId>z</VersionId><ETag>{OLDER}</ETag></Version>"
    return Answer(200, f'<ListVersionsResult xmlns="urn:s3">{rows}{other}</ListVersionsResult>'.encode())


async def found(
    expected: str, *listings: Answer, done: bool = True, removal: Answer | OSError = GONE
) -> tuple[Answer | None, list[str]]:
    """What is found, and the versions that are removed."""
    removed: list[str] = []

    async def ask(what: Literal["VERSIONS", "REMOVE"], version: str) -> Sequence[Answer]:
        if what == "VERSIONS":
            return listings
        removed.append(version)
        if isinstance(removal, OSError):
            raise removal
        return [removal]

    return await replaced(ask, "k", OWN, expected, done=done), removed


@pytest.mark.parametrize(
    ("expected", "tags", "why"),
    [
        ("", [OWN], None),
        (OLD, [OWN, OLD], None),
        ("", [OWN, OLD], AWAY),  # it was hidden
        (OLD, [OWN, OLDER], AWAY),
        (OLD, [OWN, OLD, OLDER], AWAY),  # what another one wrote, who did not see what was hidden, and takes back
        (OLDER, [OWN, OLD, OLDER], AWAY),
        ("", [OWN, "", OLD], None),  # it was deleted
        ("", [OLD, OWN], AWAY),  # by a clock that was ahead
        ("", ["", OWN], None),  # deleted since
    ],
)
async def test_other_versions_than_the_expected_one_were_hidden(
    expected: str, tags: list[str], why: Answer | None
) -> None:
    """Then the own version is removed, whoever has the newest."""
    assert await found(expected, listed(*tags)) == (why, ["abcde"[tags.index(OWN)]] if why else [])


async def test_one_member_that_shows_it_is_enough() -> None:
    """Others may still count the drives of the one that went."""
    assert await found("", listed(OWN), Answer(503, code="SlowDownRead"), listed(OWN, OLD)) == (AWAY, ["a"])


@pytest.mark.parametrize("said", [[], [Answer(403, code="AccessDenied")], [Answer(200, b"<html>")], [listed(OLD)]])
async def test_what_cannot_be_listed_is_not_acknowledged(said: list[Answer]) -> None:
    """Nor what is not listed; if it is not known to be done, that is no news."""
    assert await found("", *said) == (UNKNOWN, [])
    assert await found("", *said, done=False) == (None, [])


async def test_what_may_have_been_done_is_undone_as_well() -> None:
    """Otherwise a retry would find it, and be acknowledged."""
    assert await found("", listed(OWN, OLD), done=False) == (AWAY, ["a"])
    assert await found("", listed(OWN), done=False) == (None, [])


async def test_nothing_is_removed_without_versions() -> None:
    """The version `null` is the object itself."""
    assert await found(OLD, listed(OWN, OLDER, ids=["null", "b"])) == (None, [])


@pytest.mark.parametrize("removal", [Answer(403, code="AccessDenied"), ConnectionError("it broke")])
async def test_what_cannot_be_removed_is_told(removal: Answer | OSError, caplog: pytest.LogCaptureFixture) -> None:
    """It is not acknowledged all the same."""
    assert await found("", listed(OWN, OLD), removal=removal) == (AWAY, ["a"])
    assert "could not remove version" in caplog.text
