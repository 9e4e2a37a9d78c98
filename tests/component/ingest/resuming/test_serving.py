"""Resumable uploads at a real node over raw sockets: each version's requests, breaks, takeovers and ends."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.component.ingest.resuming.peers import code, gauges, peer, said
from tests.resumable import VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_upload_is_broken_twice_and_finished(client: Any, pair: bytes, version: str) -> None:
    """One intake object, the answer of the post, and offsets that go on where they stood."""
    moment, phone = await client.moment(), peer(client, version)
    location = await phone.broken(moment, pair, 700)
    assert location.startswith("/v1/uploads/")
    told = await phone.offset(location)
    assert (told.status, told.fields["upload-offset"], said(told, version)) == (204, "700", False)
    assert told.fields["cache-control"] == "no-store"
    await phone.broken_patch(location, 700, pair, 1100)
    assert (await phone.offset(location)).fields["upload-offset"] == "1100"
    done = await phone.ask(phone.patch(location, 1100, len(pair) - 1100), pair[1100:])
    assert (done.status, said(done, version)) == (201, True)
    assert done.location == f"/v1/posts/{msgspec.json.decode(done.body)['id']}"
    assert len(client.objects("intake")) == 1
    again = await client.upload(moment, body=pair)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_upload_in_parts(client: Any, pair: bytes, version: str) -> None:
    """Created with nothing, appended to twice, completed with nothing."""
    moment, phone = await client.moment(), peer(client, version)
    made = await phone.ask(phone.creation(moment, 0, whole=False))
    assert (made.status, said(made, version), made.fields["upload-offset"]) == (201, False, "0")
    for start, end in pairwise([0, 500, len(pair)]):
        part = await phone.ask(phone.patch(made.location, start, end - start, whole=False), pair[start:end])
        assert part.status == (204 if version == "8" else 201)
        assert (part.fields["upload-offset"], said(part, version)) == (str(end), False)
    done = await phone.ask(phone.patch(made.location, len(pair), 0))
    assert (done.status, said(done, version)) == (201, True)
    assert len(client.objects("intake")) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_unbroken_upload_is_one_request(client: Any, pair: bytes, version: str) -> None:
    """104 with the location before the answer of the post; afterwards the answer is kept for HEAD."""
    moment, phone = await client.moment(), peer(client, version)
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    assert [one.status for one in done.interim] == [104]
    assert done.interim[0].fields["upload-draft-interop-version"] == version
    assert ("upload-limit" in done.interim[0].fields) == (version in "68")
    assert (done.status, said(done, version)) == (201, True)
    post = f"/v1/posts/{msgspec.json.decode(done.body)['id']}"
    assert done.location == (post if version == "8" else done.interim[0].location)
    told = await phone.offset(done.interim[0].location)
    assert (told.status, told.fields["upload-offset"], said(told, version)) == (204, str(len(pair)), True)
    assert told.fields.get("upload-length") == (str(len(pair)) if version in "68" else None)
    assert ("upload-limit" in told.fields) == (version in "68")


async def test_the_interim_answer_comes_before_100_continue_and_both_come(client: Any, pair: bytes) -> None:
    """Draft: the 104 does not replace the 100."""
    moment, phone = await client.moment(), peer(client)
    async with await phone.connect() as connection:
        connection.send(phone.creation(moment, len(pair), "Expect: 100-continue"))
        assert [(await connection.one()).status, (await connection.one()).status] == [104, 100]
        connection.send(pair)
        assert (await connection.answer()).status == 201


@pytest.mark.parametrize("version", ["", "2", "4", "7", "9"])
async def test_another_version_is_an_ordinary_upload(client: Any, pair: bytes, version: str) -> None:
    """No 104, and no field of uploads in the answer."""
    moment, phone = await client.moment(), peer(client, version)
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    assert (done.status, done.interim) == (201, [])
    assert [name for name in done.fields if name.startswith("upload-")] == []


async def test_without_the_completeness_it_is_an_ordinary_upload(client: Any, pair: bytes) -> None:
    """Also where it cannot be read."""
    moment, phone = await client.moment(), peer(client)
    for field in ("", "Upload-Complete: yes", "Upload-Complete: ?1, ?1"):
        head = phone.head("POST", f"/v1/moments/{moment}/posts", field, "Content-Type: multipart/form-data; boundary=x",
                          length=len(pair))  # fmt: skip
        done = await phone.ask(head, pair)
        assert (done.status < 202, done.interim) == (True, [])


async def test_http_1_0_gets_no_interim_answer(client: Any, pair: bytes) -> None:
    """RFC 9110, section 15.2: a server MUST NOT send one to an HTTP/1.0 client."""
    moment, phone = await client.moment(), peer(client)
    done = await phone.ask(phone.creation(moment, len(pair)).replace(b"HTTP/1.1", b"HTTP/1.0"), pair)
    assert (done.status, done.interim) == (201, [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_offset_is_told_the_right_one(client: Any, pair: bytes, version: str) -> None:
    """409 with the draft's problem type; nothing was appended."""
    moment, phone = await client.moment(), peer(client, version)
    location = await phone.broken(moment, pair, 700)
    for offset in (0, 699, 701, 10**14):
        answer = await phone.ask(phone.patch(location, offset, 5, whole=False), b"xxxxx")
        problem = msgspec.json.decode(answer.body)
        assert (answer.status, answer.fields["upload-offset"], said(answer, version)) == (409, "700", False)
        assert problem["type"] == "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
        assert (problem["expected-offset"], problem["provided-offset"]) == (700, offset)
    done = await phone.ask(phone.patch(location, 700, len(pair) - 700), pair[700:])
    assert done.status == 201


async def test_the_offset_of_a_moving_upload_ends_its_request(client: Any, pair: bytes) -> None:
    """HEAD while the POST runs: 409 to the older request, and an offset that is accepted."""
    moment, phone = await client.moment(), peer(client)
    async with await phone.connect() as older:
        older.send(phone.creation(moment, len(pair)) + pair[:700])
        location = (await older.one()).location
        offset = int((await phone.offset(location)).fields["upload-offset"])
        assert offset <= 700
        ended = await older.answer()
        assert (ended.status, code(ended), ended.fields["upload-complete"]) == (409, "upload-taken-over", "?0")
        older.send(pair[700:])  # too late: the bytes go nowhere
        assert (await phone.offset(location)).fields["upload-offset"] == str(offset)
    done = await phone.ask(phone.patch(location, offset, len(pair) - offset), pair[offset:])
    assert done.status == 201


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_completed_upload_takes_nothing_more(client: Any, pair: bytes, version: str) -> None:
    """The answer is given again, in 6 it is a 400; another offset is 409, and a byte more is 400 in all."""
    moment, phone = await client.moment(), peer(client, version)
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    location = done.interim[0].location
    again = await phone.ask(phone.patch(location, len(pair), 0))
    if version != "6":
        assert (again.status, again.body) == (201, done.body)
        assert again.location == f"/v1/posts/{msgspec.json.decode(done.body)['id']}"
    else:
        assert (again.status, code(again)) == (400, "upload-completed")
    assert said(again, version)
    chunked = phone.patch(location, len(pair), None, "Transfer-Encoding: chunked")  # as Node's clients send nothing
    assert (await phone.ask(chunked, b"0\r\n\r\n")).status == again.status
    more = await phone.ask(phone.patch(location, 0, 0))
    assert (more.status, code(more), said(more, version)) == (409, "wrong-offset", True)
    more = await phone.ask(phone.patch(location, len(pair), 4), b"more")
    refused = "upload-completed" if version == "6" else "inconsistent-length"
    assert (more.status, code(more), said(more, version)) == (400, refused, True)


async def test_cancelled(client: Any, pair: bytes) -> None:
    """DELETE ends it, also while a request runs; then it is 404, and its place is free."""
    moment, phone = await client.moment(), peer(client)
    async with await phone.connect() as older:
        older.send(phone.creation(moment, len(pair)) + pair[:700])
        location = (await older.one()).location
        assert (await phone.ask(phone.head("DELETE", location))).status == 204
        assert (await older.answer()).status == 404
    for head in (phone.head("HEAD", location), phone.patch(location, 700, 0), phone.head("DELETE", location)):
        assert (await phone.ask(head)).status == 404
    assert await gauges(client, "in_flight_requests", "held_bytes") == [0, 0]
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    assert (await phone.ask(phone.head("DELETE", done.interim[0].location))).status == 204
    assert (await phone.offset(done.interim[0].location)).status == 404
    assert len(client.objects("intake")) == 1  # the post stays


async def test_chunked_parts(client: Any, pair: bytes) -> None:
    """A body of unknown length in chunks, in two requests; too short a one may go on."""
    moment, phone = await client.moment(), peer(client)

    def chunked(data: bytes) -> bytes:
        return f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n"

    head = phone.creation(moment, None, "Transfer-Encoding: chunked", f"Upload-Length: {len(pair)}", whole=False)
    made = await phone.ask(head, chunked(pair[:400]))
    assert (made.status, made.fields["upload-offset"]) == (201, "400")
    head = phone.patch(made.location, 400, None, "Transfer-Encoding: chunked")
    short = await phone.ask(head, chunked(pair[400:900]))
    assert (short.status, short.fields["upload-offset"], short.fields["upload-complete"]) == (400, "900", "?0")
    told = await phone.offset(made.location)
    assert (told.fields["upload-offset"], told.fields["upload-length"]) == ("900", str(len(pair)))
    head = phone.patch(made.location, 900, None, "Transfer-Encoding: chunked")
    assert (await phone.ask(head, chunked(pair[900:]))).status == 201


async def test_a_refused_post_ends_its_upload(client: Any, pair: bytes) -> None:
    """No photo, a malformed body: the problem of the post, with the end told; then 404."""
    moment, phone = await client.moment(), peer(client)
    bad = pair.replace(b"\xff\xd8\xff", b"GIF")
    location = await phone.broken(moment, bad, 700)
    answer = await phone.ask(phone.patch(location, 700, len(bad) - 700), bad[700:])
    assert (answer.status, code(answer), answer.fields["upload-complete"]) == (415, "not-a-photo", "?1")
    assert (await phone.offset(location)).status == 404
    answer = await phone.ask(phone.creation(moment, 6000, whole=False), b"x" * 6000)
    assert (answer.status, code(answer)) == (400, "bad-multipart")
    assert await gauges(client, "in_flight_requests", "held_bytes", "parked_uploads") == [0, 0, 0]
