"""Heads of requests that are no part of an upload, and lengths that do not fit it."""

import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from storage.records import from_ms
from tests.component.ingest.resuming.peers import code, peer
from tests.resumable import VERSIONS


async def test_a_chunked_append_beyond_the_length_ends_the_upload(client: Any, pair: bytes) -> None:
    """Draft: rejected, and any further interaction too."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 700)
    head = phone.patch(location, 700, None, "Transfer-Encoding: chunked")
    rest = pair[700:] + b"x"
    answer = await phone.ask(head, f"{len(rest):x}\r\n".encode() + rest + b"\r\n0\r\n\r\n")
    assert (answer.status, code(answer)) == (400, "inconsistent-length")
    assert (await phone.offset(location)).status == 404


async def test_heads_that_are_no_part(client: Any, pair: bytes) -> None:
    """400, 415 and 417, and the upload stays; HEAD with fields is 400 before version 8."""
    moment, phone = await client.moment(), peer(client)
    location = await phone.broken(moment, pair, 700)
    kind = "Content-Type: application/partial-upload"
    for status, head in (
        (400, phone.head("PATCH", location, "Upload-Offset: 700", kind, length=0)),
        (400, phone.head("PATCH", location, "Upload-Complete: ?1", kind, length=0)),
        (400, phone.head("PATCH", location, "Upload-Offset: -1", "Upload-Complete: ?1", kind, length=0)),
        (415, phone.head("PATCH", location, "Upload-Offset: 700", "Upload-Complete: ?0", length=0)),
        (417, phone.patch(location, 700, 0, "Expect: miracles", whole=False)),
        (400, phone.patch(location, 700, 0, "Content-Encoding: gzip", whole=False)),
    ):
        answer = await phone.ask(head)
        assert (answer.status, answer.fields["upload-offset"]) == (status, "700"), head
    older = peer(client, "6")
    assert (await older.ask(older.head("HEAD", location, "Upload-Offset: 700"))).status == 400
    assert (await phone.ask(phone.head("HEAD", location, "Upload-Offset: 700"))).status == 204
    assert (await phone.ask(phone.head("POST", location, length=0))).status == 405


async def retried(client: Any) -> tuple[str, tuple[str, str]]:
    """A moment, and the fields with which a balancer passes on a retry that brought a ticket."""
    first = time.time_ns() // 1_000_000 - 5000
    moment = await client.moment(fires_at=from_ms(first - 60_000))
    return moment, ("Snapsurge-Retry: 1", f"Snapsurge-Received-At: {first}")


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_length_to_which_a_ticket_was_bound_holds_in_every_version(
    client: Any, pair: bytes, version: str
) -> None:
    """A ticket that kept the time of a part with its `Upload-Length` fits no body of another length."""
    moment, retry = await retried(client)
    phone = peer(client, version)
    for length, status in ((len(pair) - 1, 400), (len(pair), 201)):
        made = await phone.ask(phone.creation(moment, 0, f"Upload-Length: {length}", *retry, whole=False))
        assert made.status == 201
        answer = await phone.ask(phone.patch(made.location, 0, len(pair)), pair)
        assert answer.status == status


async def test_the_digest_of_a_part_is_none_of_the_whole(client: Any, pair: bytes) -> None:
    """Of a retry in parts the digest of the representation counts; that of the first content says nothing of it."""
    moment, retry = await retried(client)
    phone = peer(client)
    digests = [
        f"{name}: sha-256=:{b64encode(sha256(data).digest()).decode()}:"
        for name, data in (("Content-Digest", pair[:700]), ("Repr-Digest", pair))
    ]
    made = await phone.ask(phone.creation(moment, 700, *digests, *retry, whole=False), pair[:700])
    assert (await phone.ask(phone.patch(made.location, 700, len(pair) - 700), pair[700:])).status == 201


async def test_a_chunked_retry_is_checked_by_the_digest_of_the_representation(client: Any, pair: bytes) -> None:
    """That is what its ticket was bound to; resumable or not. Another body is 400."""
    moment, retry = await retried(client)
    digest = f"Repr-Digest: sha-256=:{b64encode(sha256(pair).digest()).decode()}:"
    for version in ("", "8"):
        phone = peer(client, version, user=f"user{version}")
        for body, status in ((pair.replace(b"back.jpg", b"kcab.jpg"), 400), (pair, 201)):
            head = phone.creation(moment, None, "Transfer-Encoding: chunked", digest, *retry)
            answer = await phone.ask(head, f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
            assert answer.status == status
