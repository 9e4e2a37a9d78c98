"""The limits of resumable uploads at a real node with small settings: memory, time, sizes, pace, OPTIONS."""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from ingest.resuming.legs import Leg
from storage.records import from_ms
from tests.component.ingest.conftest import multipart, photo
from tests.component.ingest.resuming.peers import arrived, code, gauges, peer
from tests.resumable import Peer

Clients = Callable[..., AbstractAsyncContextManager[Any]]


async def gone(phone: Peer, location: str) -> None:
    """Return when the upload has ended."""
    async with asyncio.timeout(60):
        while (await phone.offset(location)).status != 404:
            pass


async def test_a_parked_upload_ends_after_its_time(make_client: Clients, pair: bytes) -> None:
    """HEAD says how long it is kept, and does not prolong it."""
    async with make_client(resume_idle_s=1.5) as client:
        moment, phone = await client.moment(), peer(client)
        location = await phone.broken(moment, pair, 700)
        told = await phone.offset(location)
        assert told.fields["upload-limit"].endswith(("max-age=1", "max-age=0"))
        await gone(phone, location)
        assert await gauges(client, "parked_uploads", "parked_bytes", "in_flight_requests", "held_bytes") == [0] * 4


async def test_the_age_of_an_upload_counts_whatever_it_does(make_client: Clients, pair: bytes) -> None:
    """Bytes that come again and again do not keep it, and the request that brings them ends with it.

    With 404: a 408 would say that the client is slow, which a balancer that sees its bytes takes for the node's fault.
    """
    async with make_client(resume_idle_s=60, resume_age_s=1.5) as client:
        moment, phone = await client.moment(), peer(client)
        location = await phone.broken(moment, pair, 700)
        async with await phone.connect() as connection:
            connection.send(phone.patch(location, 700, len(pair) - 700) + pair[700:710])
            answer = await connection.answer()
        assert (answer.status, code(answer)) == (404, "no-such-upload")
        assert "1.5 s after it began" in msgspec.json.decode(answer.body)["detail"]
        assert (await phone.offset(location)).status == 404


async def test_parked_bytes_are_bounded_and_the_least_recent_goes(make_client: Clients, pair: bytes) -> None:
    """Many users park and hold: the node keeps as many bytes as it may, of those who came last."""
    held = 700
    async with make_client(parked_bytes_max=held * 3) as client:
        moment = await client.moment()
        phones = [peer(client, user=f"user{number}") for number in range(8)]
        locations = [await phone.broken(moment, pair, held) for phone in phones]
        found = [(await phone.offset(at)).status for phone, at in zip(phones, locations, strict=True)]
        assert found == [404] * 5 + [204] * 3
        assert await gauges(client, "parked_uploads", "parked_bytes", "parked_bytes_max") == [3, held * 3, held * 3]


@pytest.mark.parametrize("touch", ["HEAD", "nothing", "a byte"])
async def test_to_be_asked_for_keeps_no_parked_upload(make_client: Clients, touch: str) -> None:
    """The holder's goes before one whose bytes came later, however often it is touched."""
    body = multipart(*((side, photo() + bytes(30_000) + b"\xff\xd9") for side in ("front", "back")))
    held = 40_000
    async with make_client(parked_bytes_max=held * 2 + 10) as client:
        moment = await client.moment()
        holder, honest, third = (peer(client, user=user) for user in ("holder", "honest", "third"))
        location = await holder.broken(moment, body, held)
        kept = await honest.broken(moment, body, held)
        for offset in range(held, held + 5):
            if touch == "HEAD":
                assert (await holder.offset(location)).status == 204
            else:
                at, part = (held, b"") if touch == "nothing" else (offset, body[offset : offset + 1])
                assert (await holder.ask(holder.patch(location, at, len(part), whole=False), part)).status == 204
        await third.broken(moment, body, held)
        assert (await holder.offset(location)).status == 404
        assert (await honest.ask(honest.patch(kept, held, len(body) - held), body[held:])).status == 201


async def test_one_parked_upload_a_user(client: Any, pair: bytes) -> None:
    """A new creation ends the one that waits; the newest can be finished."""
    moment, phone = await client.moment(), peer(client)
    first = await phone.broken(moment, pair, 700)
    second = await phone.broken(moment, pair, 800)
    assert (await phone.offset(first)).status == 404
    assert (await phone.offset(second)).fields["upload-offset"] == "800"


async def test_more_than_a_pair_may_have(make_client: Clients, pair: bytes) -> None:
    """413 with the limits, told before or in between; the limit itself is reached without."""
    async with make_client(photo_bytes_max=2000) as client:
        moment, phone = await client.moment(), peer(client)
        most = 2 * 2000 + 4096 + 16 * 1024
        answer = await phone.ask(phone.creation(moment, 0, f"Upload-Length: {most + 1}", whole=False))
        assert (answer.status, code(answer)) == (413, "too-large")
        assert f"max-size={most}" in answer.fields["upload-limit"]
        made = await phone.ask(phone.creation(moment, 0, f"Upload-Length: {most}", whole=False))
        assert made.status == 201
        made = await phone.ask(phone.creation(moment, 0, whole=False))
        answer = await phone.ask(phone.patch(made.location, 0, most + 1, whole=False))
        assert (answer.status, code(answer), answer.fields["upload-offset"]) == (413, "too-large", "0")
        preamble = b"\r\n" * 10
        part = await phone.ask(phone.patch(made.location, 0, len(preamble), whole=False), preamble)
        assert part.status == 204


async def test_a_slow_trickle_is_ended_and_its_bytes_are_kept(make_client: Clients, pair: bytes) -> None:
    """408 on the PATCH as on any body; the upload can go on until its age ends it."""
    async with make_client(body_grace_s=1, body_stall_s=1) as client:
        moment, phone = await client.moment(), peer(client)
        location = await phone.broken(moment, pair, 700)
        async with await phone.connect() as connection:
            connection.send(phone.patch(location, 700, len(pair) - 700) + pair[700:705])
            answer = await connection.answer()
        assert (answer.status, code(answer), answer.fields["upload-offset"]) == (408, "too-slow", "705")
        assert answer.fields["upload-complete"] == "?0"
        assert (await phone.ask(phone.patch(location, 705, len(pair) - 705), pair[705:])).status == 201


@pytest.mark.parametrize(("version", "limit"), [("", "max-age"), ("8", "max-age"), ("6", "expires"), ("5", None)])
async def test_options_tells_the_limits(client: Any, version: str, limit: str | None) -> None:
    """Of where uploads begin and of uploads, without a token; of no other path."""
    moment, phone = await client.moment(), peer(client, version)
    for path in (f"/v1/moments/{moment}/posts", "/v1/uploads/x"):
        answer = await phone.ask(phone.head("OPTIONS", path, bearer="none"))
        assert (answer.status, answer.fields["accept-patch"]) == (204, "application/partial-upload")
        assert ("upload-limit" in answer.fields) == (limit is not None)
        assert limit is None or f"{limit}=120" in answer.fields["upload-limit"]
    assert "upload-limit" not in (await phone.ask(phone.head("OPTIONS", f"/v1/moments/{moment}"))).fields
    answer = await phone.ask(phone.head("OPTIONS", "/v1/uploads/x"))
    assert answer.fields["allow"] == "delete, get, head, options, patch"


async def test_lateness_is_that_of_the_first_request(make_client: Clients, pair: bytes) -> None:
    """As a balancer tells it, whenever the last part comes."""
    async with make_client() as client:
        moment, phone = await client.moment(), peer(client)
        record = (await client.call("GET", f"/v1/moments/{moment}")).body
        fires_ms = int(time.time() * 1000)
        location = await phone.broken(moment, pair, 700, f"Snapsurge-Received-At: {fires_ms + 1}")
        late = f"Snapsurge-Received-At: {fires_ms + 500_000}"
        done = await phone.ask(phone.patch(location, 700, len(pair) - 700, late), pair[700:])
        assert done.status == 201
        received = msgspec.json.decode(done.body)["received_at"]
        assert record["fires_at"] <= received < record["closes_at"]


async def test_a_draining_node_keeps_its_uploads(make_client: Clients, pair: bytes) -> None:
    """It still answers, closes each connection, and finishes what was parked."""
    async with make_client() as client:
        moment, phone = await client.moment(), peer(client)
        location = await phone.broken(moment, pair, 700)
        client.lifecycle.draining = True
        told = await phone.offset(location)
        assert (told.fields["upload-offset"], told.fields["connection"]) == ("700", "close")
        assert (await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])).status == 201


async def test_metrics_count_each_upload_once(client: Any, pair: bytes) -> None:
    """Begun, resumed, and how it ended."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 700)
    await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])
    names = ("resumable_begun_total", "resumed_total", 'resumable_ended_total{reason="completed"}')
    assert await gauges(client, *names) == [1, 1, 1]


async def test_a_part_does_not_read_into_the_next_request(client: Any, pair: bytes) -> None:
    """Requests of an upload in parts follow each other on one connection without a pause."""
    moment, phone = await client.moment(), peer(client)
    made = await phone.ask(phone.creation(moment, 0, f"Upload-Length: {len(pair)}", whole=False))
    async with await phone.connect() as connection:
        first = phone.patch(made.location, 0, 900, whole=False) + pair[:900]
        connection.send(first + phone.patch(made.location, 900, len(pair) - 900) + pair[900:])
        assert [(await connection.answer()).status, (await connection.answer()).status] == [204, 201]


@pytest.mark.parametrize(("kept_s", "status"), [(700, 404), (300, 204)])
async def test_a_ticket_does_not_double_the_time_of_an_upload(
    client: Any, pair: bytes, kept_s: int, status: int
) -> None:
    """Ten minutes in all, since the first try; a part says nothing of the photos that follow."""
    tried, phone = time.time_ns() // 1_000_000, peer(client)
    moment = await client.moment(fires_at=from_ms(tried - 1_000_000))
    retry = ("Snapsurge-Retry: 1", f"Snapsurge-Received-At: {tried - kept_s * 1000}", f"Snapsurge-Tried-At: {tried}")
    made = await phone.ask(phone.creation(moment, 9, *retry, whole=False), pair[:9])
    assert made.status == 201
    assert (await phone.offset(made.location)).status == status


async def test_what_may_not_be_parked_is_not_promised(make_client: Clients, pair: bytes) -> None:
    """HEAD of a moving upload ends it; too large to wait, it is 404 and not an offset that would be refused."""
    async with make_client(parked_bytes_max=600) as client:
        moment, phone = await client.moment(), peer(client)
        async with await phone.connect() as older:
            older.send(phone.creation(moment, len(pair), whole=False) + pair[:700])
            location = (await older.one()).location
            await arrived(client, 700)
            assert (await phone.offset(location)).status == 404
            assert (await older.answer()).status == 409


@pytest.mark.parametrize("end", ["refused", "taken over", "cancelled"])
async def test_the_memory_of_an_upload_is_free_when_its_request_ends(client: Any, pair: bytes, end: str) -> None:
    """However it ends: nothing waits for the collector, for a burst of what fails would fill the memory meanwhile."""
    moment, phone = await client.moment(), peer(client)
    gc.collect()
    gc.disable()
    try:
        async with await phone.connect() as older:
            if end == "refused":
                older.send(phone.creation(moment, 6000) + b"x" * 6000)
            else:
                older.send(phone.creation(moment, len(pair)) + pair[:700])
                location = (await older.one()).location
                await phone.ask(phone.head("HEAD" if end == "taken over" else "DELETE", location))
            assert (await older.answer()).status in (400, 404, 409)
        assert [one for one in gc.get_objects() if isinstance(one, Leg)] == []
    finally:
        gc.enable()
