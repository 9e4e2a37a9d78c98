"""Endpoints that do not serve, or come late or back, and ignore conditional writes or are of another store."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from storage.s3 import endpoints
from storage.s3.endpoint import State
from storage.s3.objects import Objects
from storage.s3.signing import Keys
from tests.unit.storage.s3.members import (
    FINE,
    MISSING,
    NO_QUORUM,
    Member,
    apart_from,
    becomes,
    objects_at,
    put,
    said,
    state_of,
)

BROKEN = said(500)


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    """Three members that run, and see each other."""
    seen: set[str] = set()
    made = [Member(seen) for _ in range(3)]
    for one in made:
        await one.start()
    yield made
    for one in made:
        await one.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks every few milliseconds, with all the time of a busy machine; what was away sees the others at once."""
    monkeypatch.setattr(endpoints, "EVERY_S", 0.05)
    monkeypatch.setattr(endpoints, "AFTER_UNFIT", 2)
    monkeypatch.setattr("storage.s3.endpoint.SETTLE_S", 0.0)


@pytest.mark.parametrize("ignores", ["if-none-match", "if-match"])
async def test_one_that_comes_late_and_ignores_a_condition_gets_nothing(
    members: list[Member], ignores: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others take all; an error names it; once it is mended, it serves."""
    late, *others = members
    late.ignores = ignores
    await late.stop()
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: {state_of(objects, one) for one in others} == {State.UP})
        await late.start()
        await becomes(lambda: state_of(objects, late) is State.UNFIT)
        for _ in range(6):
            assert await put(objects) == (200, "")
            assert (await objects.call("GET", "x")).status == 200
        assert not {"PUT", "GET"} & set(late.asked)
        [error] = [record for record in caplog.records if "is not used" in record.message]
        assert error.levelno == logging.ERROR
        assert late.url in error.message
        late.ignores = ""
        await becomes(lambda: state_of(objects, late) is State.UP)


async def test_one_that_ignores_conditions_does_not_keep_the_others_from_agreeing(members: list[Member]) -> None:
    """All were away, also that one: no program uses it, so the others need not wait for it."""
    members[0].ignores = "if-none-match"
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: [state_of(objects, one) for one in members] == [State.UNFIT, State.UP, State.UP])
        assert await put(objects) == (200, "")


async def test_with_too_few_others_no_change_is_taken(members: list[Member]) -> None:
    """Two of three ignore conditions: one is less than half."""
    members[0].ignores = members[1].ignores = "if-match"
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: [state_of(objects, one) for one in members] == [State.UNFIT, State.UNFIT, State.APART])
        assert await put(objects) == (503, "MembersApart")
        assert (await objects.call("GET", "x")).status == 200


async def test_one_of_another_store_is_not_read_and_an_error_follows(
    members: list[Member], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be a member that does not see the others yet; after a minute it needs a person."""
    late = members[0]
    late.answers["GET"] = MISSING
    await late.stop()
    apart_from(late)
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: {state_of(objects, one) for one in members[1:]} == {State.UP})
        await late.start()
        await becomes(lambda: late.tests > 9 and state_of(objects, late) is State.APART)
        assert [await put(objects) for _ in range(6)] == [(200, "")] * 6
        assert (await objects.call("GET", "x")).status == 200
        assert not {"PUT", "GET"} & set(late.asked)
        assert state_of(objects, late) is State.APART
        monkeypatch.setattr(endpoints, "LASTING_S", 0.0)
        await becomes(lambda: state_of(objects, late) is State.UNFIT)
        assert any(record.levelno == logging.ERROR and "another store" in record.message for record in caplog.records)


async def test_members_that_do_not_agree_for_a_minute_are_an_error_and_are_read(
    members: list[Member], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning when it begins, one error when it lasts."""
    apart_from(members[0])
    told = [logging.WARNING, logging.ERROR]
    async with objects_at(*(one.url for one in members)) as objects:
        await becomes(lambda: sum(one.tests for one in members) > 90)
        monkeypatch.setattr(endpoints, "LASTING_S", 0.0)
        levels = lambda: [one.levelno for one in caplog.records if "writes paused" in one.message]  # noqa: E731
        await becomes(lambda: levels() == told)
        assert (await objects.call("GET", "x")).status == 200
        assert await put(objects) == (503, "MembersApart")
        assert {state_of(objects, one) for one in members} == {State.APART}
        assert levels() == told


async def test_one_alone_that_comes_back_and_ignores_a_condition_gets_nothing(members: list[Member]) -> None:
    """Neither reads nor changes, and the answer says why."""
    only = members[0]
    async with objects_at(only.url, alone=True) as objects:
        assert await put(objects) == (200, "")
        assert only.tests == 0
        await only.stop()
        with pytest.raises(OSError, match=r".+"):
            await put(objects)
        only.ignores = "if-match"
        await only.start()
        await becomes(lambda: state_of(objects, only) is State.UNFIT)
        only.asked.clear()
        assert await put(objects) == (503, "NoSuitableEndpoint")
        assert (await objects.call("GET", "x")).code == "NoSuitableEndpoint"
        assert not {"PUT", "GET"} & set(only.asked)
        only.ignores = ""
        await becomes(lambda: state_of(objects, only) is State.UP)


async def test_one_alone_is_not_tested_by_programs_that_do_not_test_stores(members: list[Member]) -> None:
    """It is used as soon as it answers, as if nobody checked."""
    only = members[0]
    async with objects_at(only.url) as objects:
        await only.stop()
        with pytest.raises(OSError, match=r".+"):
            await put(objects)
        await only.start()
        await becomes(lambda: state_of(objects, only) is State.UP)
        assert await put(objects) == (200, "")
        assert only.tests == 0


async def test_one_alone_that_could_not_write_at_the_start_is_tested_when_it_can(members: list[Member]) -> None:
    """It is read meanwhile."""
    only = members[0]
    only.answers["health"] = NO_QUORUM
    async with objects_at(only.url, alone=True) as objects:
        objects.endpoints.untested()
        assert await put(objects) == (503, "SlowDownWrite")
        assert (await objects.call("GET", "x")).status == 200
        assert only.tests == 0
        only.answers["health"] = FINE
        await becomes(lambda: state_of(objects, only) is State.UP)
        assert only.tests > 0


async def test_one_that_fails_at_everything_is_left_out(members: list[Member]) -> None:
    """Its requests are repeated at another one, and then it gets none."""
    async with objects_at(*(one.url for one in members)) as objects:
        members[0].answers = dict.fromkeys(members[0].answers, BROKEN)
        assert [await put(objects) for _ in range(3)] == [(200, "")] * 3
        await becomes(lambda: state_of(objects, members[0]) is State.DOWN)
        sent = members[0].asked.count("PUT")
        assert [await put(objects) for _ in range(9)] == [(200, "")] * 9
        assert members[0].asked.count("PUT") == sent == 1


async def test_checks_come_at_most_once_a_second(members: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many doubts there are."""
    async with objects_at(*(one.url for one in members)) as objects:
        one = objects.endpoints.all[0]
        await becomes(lambda: not objects.endpoints._checks)
        monkeypatch.setattr(endpoints, "EVERY_S", 600.0)
        looked_at = one.looked_at
        for _ in range(3):
            objects.endpoints.doubt(one)
            await asyncio.sleep(0)
            assert await put(objects) == (200, "")
        assert one.looked_at == looked_at
        assert one in objects.endpoints._checks


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (said(502), "it answers 502"),
        (None, "no answer to a HEAD within 0.3 s"),
        (b"", "ConnectionRefusedError: "),
    ],
)
async def test_the_line_about_an_endpoint_that_does_not_serve_says_why(
    members: list[Member], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    answer: bytes | None, cause: str,
) -> None:  # fmt: skip
    """An error, silence, a process that is gone."""
    monkeypatch.setattr("storage.s3.endpoint.LASTS_S", 0.01)
    monkeypatch.setattr("storage.s3.endpoint.CHECK_S", 0.3)
    if answer == b"":
        await members[0].stop()
    members[0].answers["HEAD"] = answer
    async with objects_at(*(one.url for one in members)):
        await becomes(lambda: "does not serve" in caplog.text)
    (line,) = [one for one in caplog.messages if "does not serve" in one]
    assert line.startswith(f"store endpoint {members[0].url} does not serve: ")
    assert f" ({cause}" in line


async def test_a_test_without_keys_ends_no_program(members: list[Member]) -> None:
    """What finds the keys may fail with any error: the endpoints do not agree yet, and are tested again."""
    works = True

    async def keys() -> Keys:
        if works:
            return Keys("a", "s")
        raise RuntimeError("no role")

    limits = {"connections_max": 16, "attempts_max": 3, "connect_timeout_s": 1.0, "read_timeout_s": 5.0}
    async with Objects([one.url for one in members], "bucket", "us-east-1", keys, **limits) as objects:
        works = False
        await objects.endpoints.begin(alone=False)
        assert {state_of(objects, one) for one in members} == {State.APART}
        works = True
        await becomes(lambda: {state_of(objects, one) for one in members} == {State.UP})
