"""Heads of requests that are no part of an upload, and lengths that do not fit it."""

from typing import Any

from tests.component.ingest.resuming.peers import code, peer


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
