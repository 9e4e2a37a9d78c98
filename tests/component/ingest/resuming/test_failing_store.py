"""Uploads whose commit fails through no fault of the phone: they wait with all their bytes, and are completed later."""

import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import msgspec
import pytest

from ingest.body.arriving import Shed
from ingest.body.receiving import Receiver
from ingest.gate import Gate, GateTimeout
from ingest.resuming import resource_table
from storage.blobs import StoreFull, StoreUnavailable
from storage.existence import Existence
from storage.records import from_ms
from tests.component.ingest.resuming.peers import code, gauges, peer, said
from tests.resumable import VERSIONS, Answer

Clients = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit may be repeated without a pause."""
    monkeypatch.setattr(resource_table, "PAUSE_S", 0.0)


@contextmanager
def outage(client: Any) -> Iterator[None]:
    """The store takes nothing meanwhile."""
    aside = client.root.with_name("aside")
    client.root.rename(aside)
    client.root.touch()
    try:
        yield
    finally:
        client.root.unlink()
        aside.rename(client.root)


def waits(answer: Answer, length: int, version: str = "8") -> bool:
    """Whether an answer says that the upload has all its bytes, is not complete, and when to come back."""
    assert answer.fields["upload-offset"] == str(length)
    assert 1 <= int(answer.fields["retry-after"]) <= 60
    return not said(answer, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("broken", [False, True])
async def test_an_upload_that_meets_a_failing_store_is_completed_on_time(
    client: Any, pair: bytes, version: str, *, broken: bool
) -> None:
    """Whole in one request or broken once: 503, twice; then an empty PATCH makes it a post of the first time."""
    first = time.time_ns() // 1_000_000 - 5000
    moment, phone = await client.moment(fires_at=from_ms(first - 60_000)), peer(client, version)
    at = f"Snapsurge-Received-At: {first}"
    location = await phone.broken(moment, pair, 700, at) if broken else ""
    with outage(client):
        if broken:
            answer = await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])
        else:
            answer = await phone.ask(phone.creation(moment, len(pair), at), pair)
            location = answer.interim[0].location
        assert (answer.status, code(answer)) == (503, "storage-unavailable")
        assert waits(answer, len(pair), version)
        told = await phone.offset(location)
        assert (told.status, told.fields["upload-offset"], said(told, version)) == (204, str(len(pair)), False)
        again = await phone.ask(phone.patch(location, len(pair), 0))
        assert (again.status, code(again)) == (503, "storage-unavailable")
        assert waits(again, len(pair), version)
    done = await phone.ask(phone.patch(location, len(pair), 0))
    assert (done.status, said(done, version)) == (201, True)
    assert msgspec.json.decode(done.body)["received_at"] == msgspec.to_builtins(from_ms(first)).replace("+00:00", "Z")
    assert len(client.objects("intake")) == 1
    assert await gauges(client, "held_bytes", "in_flight_requests", "parked_uploads") == [0, 0, 0]
    assert (await client.upload(moment, body=pair)).status == 200  # photos unharmed


@pytest.mark.parametrize(
    ("fault", "status", "problem"),
    [
        (StoreFull("full"), 507, "storage-full"),
        (StoreUnavailable("away"), 503, "storage-unavailable"),
        (GateTimeout(), 503, "overloaded"),
    ],
)
async def test_every_fault_of_ours_leaves_the_upload(
    client: Any, pair: bytes, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int, problem: str
) -> None:
    """The store is full, does not answer, or lets nobody in."""
    moment, phone = await client.moment(), peer(client)

    def fail(*_: object) -> Any:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(*((Gate, "passed", fail) if problem == "overloaded" else (Existence, "commit", fail)))
        answer = await phone.ask(phone.creation(moment, len(pair)), pair)
        assert (answer.status, code(answer), waits(answer, len(pair))) == (status, problem, True)
    done = await phone.ask(phone.patch(answer.interim[0].location, len(pair), 0))
    assert done.status == 201


async def test_a_commit_whose_outcome_was_unknown_is_repeated_without_harm(
    client: Any, pair: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first PUT came through after all: the same attempt, so one post, and 201; after its deletion 409."""
    first = time.time_ns() // 1_000_000 - 50_000
    moment = await client.moment(fires_at=from_ms(first - 60_000))
    commit = Existence.commit

    async def lost(*given: Any) -> Any:
        await commit(*given)
        raise StoreUnavailable("the answer was lost")

    for user, deletes in (("stays", False), ("gone", True)):
        phone = peer(client, user=user)
        with monkeypatch.context() as patched:
            patched.setattr(Existence, "commit", lost)
            head = phone.creation(moment, len(pair), f"Snapsurge-Received-At: {first}")
            answer = await phone.ask(head, pair)
        assert answer.status == 503
        if deletes:
            assert (await client.call("DELETE", f"/v1/users/{user}/posts", user)).status in (200, 204)
        done = await phone.ask(phone.patch(answer.interim[0].location, len(pair), 0))
        assert done.status == (409 if deletes else 201)
    assert (await client.upload(moment, "stays", body=pair)).status == 200


async def test_a_fault_of_the_phone_still_ends_it(client: Any, pair: bytes) -> None:
    """Whatever the store does: what is no photo is no photo."""
    moment, phone = await client.moment(), peer(client)
    bad = pair.replace(b"\xff\xd8\xff", b"GIF")
    location = await phone.broken(moment, bad, 700)
    with outage(client):
        answer = await phone.ask(phone.patch(location, 700, len(bad) - 700), bad[700:])
    assert (answer.status, answer.fields["upload-complete"]) == (415, "?1")
    assert (await phone.offset(location)).status == 404


async def test_one_that_may_not_be_parked_has_ended(make_client: Clients, pair: bytes) -> None:
    """Too large to wait: its answer promises no offset, and the phone begins anew."""
    async with make_client(parked_bytes_max=600) as client:
        moment, phone = await client.moment(), peer(client)
        with outage(client):
            answer = await phone.ask(phone.creation(moment, len(pair)), pair)
        assert (answer.status, answer.fields["upload-complete"]) == (503, "?1")
        assert "upload-offset" not in answer.fields
        assert (await phone.ask(phone.creation(moment, len(pair)), pair)).status == 201


async def test_the_time_to_come_back_begins_with_the_failure(make_client: Clients, pair: bytes) -> None:
    """The phone has nothing left to send, so no byte of its own can prolong it."""
    async with make_client(resume_idle_s=60) as client:
        moment, phone = await client.moment(), peer(client)
        with outage(client):
            location = (await phone.ask(phone.creation(moment, len(pair)), pair)).interim[0].location
        told = await phone.offset(location)
        assert told.fields["upload-limit"].endswith(("max-age=60", "max-age=59"))
        assert (await phone.ask(phone.head("DELETE", location))).status == 204
        assert await gauges(client, "held_bytes", "in_flight_requests", "parked_uploads") == [0, 0, 0]


def begun(answer: Answer) -> list[str]:
    """What a failure tells the balancer of the request that began the upload; empty when it tells nothing."""
    told = re.search(r"(?m)^Snapsurge-Begun: (\d+) (\S+)", answer.raw.decode())
    return [told[1], *urlsafe_b64decode(told[2]).decode().split("\r\n")[:-1]] if told else []


async def test_a_failure_of_ours_tells_the_balancer_how_the_upload_began(client: Any, pair: bytes) -> None:
    """Of a later request alone, and not before: a 104 and an offset would let a phone reserve a time."""
    first = time.time_ns() // 1_000_000 - 5000
    moment, phone = await client.moment(fires_at=from_ms(first - 60_000)), peer(client)
    head = phone.creation(moment, len(pair), f"Snapsurge-Received-At: {first}", "Content-Digest: x")
    async with await phone.connect() as connection:
        connection.send(head + pair[:700])
        interim = await connection.one()
        await connection.cut()
    told = await phone.offset(interim.location)
    with outage(client):
        refused = await phone.ask(phone.patch(interim.location, 700, len(pair) - 700), pair[700:])
        other = peer(client, user="other")
        whole = await other.ask(other.creation(moment, len(pair)), pair)
    assert (refused.status, whole.status) == (503, 503)
    assert begun(refused) == [
        *(str(first), f"POST /v1/moments/{moment}/posts HTTP/1.1", "Host: begun", f"Content-Length: {len(pair)}"),
        *("Content-Digest: x", "Upload-Complete: ?1"),
    ]
    assert begun(interim) == begun(told) == begun(whole) == []
    done = await phone.ask(phone.patch(interim.location, len(pair), 0))
    assert (done.status, begun(done)) == (201, [])


async def test_a_part_that_is_shed_tells_it_too(client: Any, pair: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are gone, so the phone begins anew, at the time of its first request."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 300)

    async def shed(*_: object) -> None:
        raise Shed

    monkeypatch.setattr(Receiver, "read", shed)
    answer = await phone.ask(phone.patch(location, 300, len(pair) - 300), pair[300:])
    assert (answer.status, code(answer), answer.fields["upload-complete"]) == (503, "overloaded", "?1")
    assert begun(answer)[1:2] == [f"POST /v1/moments/{moment}/posts HTTP/1.1"]
    assert (await phone.offset(location)).status == 404
    answer = await phone.ask(phone.creation(moment, len(pair)), pair)
    assert (answer.status, begun(answer)) == (503, [])
