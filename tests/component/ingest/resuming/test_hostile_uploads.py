"""Resumable uploads with hostile or careless clients: races, lies about offsets and lengths, tokens of others."""

import asyncio
import random
import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ingest.auth import LEEWAY_S
from tests.component.ingest.conftest import multipart, photo
from tests.component.ingest.resuming.peers import code, peer, token
from tests.resumable import Answer


async def test_of_two_appends_that_race_the_newer_wins(client: Any, pair: bytes) -> None:
    """The older one ends; the newer one is told where the upload stands, or goes on from there."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 300)
    async with await phone.connect() as older, await phone.connect() as newer:
        older.send(phone.patch(location, 300, len(pair) - 300, "Expect: 100-continue"))
        assert (await older.one()).status == 100
        newer.send(phone.patch(location, 300, len(pair) - 300, "Expect: 100-continue"))
        assert (await newer.one()).status == 100
        older.send(pair[300:])
        assert code(await older.answer()) == "upload-taken-over"
        newer.send(pair[300:])
        assert (await newer.answer()).status == 201
    assert len(client.objects("intake")) == 1


async def test_many_racing_appends_leave_one_whole_post(client: Any) -> None:
    """Whatever the order, the stored photos are those that were sent."""
    rng, moment, phone = random.Random(16), await client.moment(), peer(client)
    body = client_pair(rng)
    location = await phone.broken(moment, body, 100)

    async def push(seed: int) -> Answer | None:
        dice, answer = random.Random(seed), None
        for _ in range(40):
            told = await phone.offset(location)
            offset = int(told.fields["upload-offset"])
            if told.fields["upload-complete"] == "?1":
                return await phone.ask(phone.patch(location, offset, 0))
            end = min(len(body), offset + dice.randrange(1, len(body) // 8))
            whole = end == len(body)
            answer = await phone.ask(phone.patch(location, offset, end - offset, whole=whole), body[offset:end])
            assert answer.status in (201, 204, 409), answer
        return answer

    async with asyncio.TaskGroup() as group:
        pushing = [group.create_task(push(seed)) for seed in range(4)]
    assert [one.result().status for one in pushing if one.result()] == [201] * 4
    again = await client.upload(moment, body=body)
    assert again.status == 200


def client_pair(rng: random.Random) -> bytes:
    """A pair of some 60 KB, whose photos have extra bytes after their end."""
    return multipart(*((side, photo() + rng.randbytes(30_000) + b"\xff\xd9") for side in ("front", "back")))


async def test_uploads_of_others_are_not_there(client: Any, pair: bytes) -> None:
    """404 for another user, whatever is asked; 401 and 403 without the right token."""
    moment, phone, other = await client.moment(), peer(client), peer(client, user="mallory")
    location = await phone.broken(moment, pair, 700)
    for head in (other.head("HEAD", location), other.patch(location, 700, 0), other.head("DELETE", location)):
        assert (await other.ask(head)).status == 404
    assert (await phone.ask(phone.head("HEAD", location, bearer="x"))).status == 401
    assert (await phone.ask(phone.head("HEAD", location, bearer=token("alice", scope="ops")))).status == 403
    assert (await phone.offset(location)).fields["upload-offset"] == "700"
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    assert (await other.offset(done.interim[0].location)).status == 404


async def test_no_such_upload(client: Any) -> None:
    """Nor one of another node, nor what is no token."""
    phone = peer(client)
    for path in ("x", "0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAA", "%2e%2e", "." * 300):
        assert (await phone.offset(f"/v1/uploads/{path}")).status == 404


async def test_a_token_that_ended_meanwhile(client: Any, pair: bytes) -> None:
    """401 at the completion, and nothing is stored."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 700)
    phone.bearer = token("alice", exp=1)
    assert (await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])).status == 401
    assert client.objects("intake") == []


async def test_a_token_that_expires_while_its_request_brings_the_body(client: Any, pair: bytes) -> None:
    """401 at the completion too, and the upload has ended: nothing is stored."""
    moment, phone = await client.moment(), peer(client)
    phone.bearer = token("alice", exp=int(time.time()) - LEEWAY_S + 3)
    async with await phone.connect() as slow:
        slow.send(phone.creation(moment, len(pair)) + pair[:700])
        assert (await slow.one()).status == 104
        while (await phone.offset("/v1/uploads/x")).status != 401:
            pass
        slow.send(pair[700:])
        answer = await slow.answer()
    assert (answer.status, code(answer), answer.fields["upload-complete"]) == (401, "unauthenticated", "?1")
    assert client.objects("intake") == []


async def test_lengths_that_do_not_fit(client: Any, pair: bytes) -> None:
    """Refused before a byte, with the draft's problem type; the upload stays where it was."""
    moment, phone = await client.moment(), peer(client, "8")
    head = phone.creation(moment, len(pair), f"Upload-Length: {len(pair) + 1}")
    answer = await phone.ask(head, pair)
    assert (answer.status, code(answer)) == (400, "inconsistent-length")
    location = await phone.broken(moment, pair, 700)
    wrong = [
        (phone.patch(location, 700, len(pair) - 701), pair[701:]),
        (phone.patch(location, 700, len(pair)), pair),
        (phone.patch(location, 700, len(pair), whole=False), pair),
        (phone.patch(location, 700, 0, f"Upload-Length: {len(pair) + 1}", whole=False), b""),
        (phone.patch(location, 700, 0), b""),
    ]
    for head, content in wrong:
        answer = await phone.ask(head, content)
        assert (answer.status, code(answer), answer.fields["upload-offset"]) == (400, "inconsistent-length", "700")
        assert answer.fields["upload-complete"] == "?0"
        assert msgspec.json.decode(answer.body)["type"].endswith("#inconsistent-upload-length")
    assert (await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])).status == 201


@pytest.mark.parametrize("name", ["Repr-Digest", "Content-Digest"])
async def test_a_digest_of_the_whole_is_checked_over_all_parts(client: Any, pair: bytes, name: str) -> None:
    """A part of another body is refused, with 400 and nothing stored."""
    moment, phone = await client.moment(), peer(client)
    field = f"{name}: sha-256=:{b64encode(sha256(pair).digest()).decode()}:"
    location = await phone.broken(moment, pair, 700, field)
    other = pair[700:].replace(b"back.jpg", b"kcab.jpg")
    answer = await phone.ask(phone.patch(location, 700, len(other)), other)
    assert (answer.status, code(answer)) == (400, "bad-request")
    assert client.objects("intake") == []
    location = await phone.broken(moment, pair, 700, field)
    assert (await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])).status == 201


@pytest.mark.parametrize(
    ("sent", "status"),
    [({"Content-Digest"}, 201), ({"Repr-Digest"}, 400), ({"Content-Digest", "Repr-Digest"}, 400)],
)
async def test_of_an_unbroken_upload_only_the_digest_of_the_whole_is_checked(
    client: Any, pair: bytes, sent: set[str], status: int
) -> None:
    """Content-Digest without a ticket is not read, as of an ordinary upload: it would be a tenth of a pair's CPU."""
    moment, phone = await client.moment(), peer(client)
    value = b64encode(sha256(b"other").digest()).decode()
    head = phone.creation(moment, len(pair), *(f"{name}: sha-256=:{value}:" for name in sent))
    assert (await phone.ask(head, pair)).status == status
