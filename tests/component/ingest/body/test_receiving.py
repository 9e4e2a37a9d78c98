"""Receiving over real sockets: 100-continue after the decision, slow and cut bodies, early refusals."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Any

import msgspec
import pytest

MakeClient = Callable[..., AbstractAsyncContextManager[Any]]


async def talk(client: Any, moment: str, head: str, *, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection with an upload's head sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    lines = [f"POST /v1/moments/{moment}/posts HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    lines += ["Content-Type: multipart/form-data; boundary=x", *head.splitlines()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return reader, writer


async def test_continue_is_said_after_the_decision_only(client: Any, upload_token: str, pair: bytes) -> None:
    """A good upload is told to go on; one that is refused never is; an unknown expectation is refused."""
    moment = await client.moment()
    expect = f"Expect: 100-continue\nContent-Length: {len(pair)}"
    reader, writer = await talk(client, moment, expect, token=upload_token)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(pair)
    assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    writer.close()

    for where, token, fields, status in (
        (moment, "wrong", expect, b"401"),
        ("eu-20260101-none", upload_token, expect, b"404"),
        (moment, upload_token, "Expect: 100-continue\nContent-Length: 99999999", b"413"),
        (moment, upload_token, "Expect: miracles\nContent-Length: 10", b"417"),
    ):
        reader, writer = await talk(client, where, fields, token=token)
        assert (await reader.readline()).split()[1] == status
        writer.close()


async def test_a_body_that_is_cut_off_leaves_nothing(client: Any, upload_token: str, pair: bytes) -> None:
    """The connection ends half-way: no object, and the node serves on with nothing in flight."""
    moment = await client.moment()
    _, writer = await talk(client, moment, f"Content-Length: {len(pair)}", token=upload_token)
    writer.write(pair[: len(pair) // 2])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    while b"in_flight_requests 0.0" not in (await client.call("GET", "/metrics")).raw:
        pass

    assert client.objects("intake") == []


async def test_a_body_longer_than_it_says_is_cut_where_it_said(client: Any, upload_token: str, pair: bytes) -> None:
    """HTTP ends the body at Content-Length; what is left of the pair is no method (405), and nothing is kept."""
    moment = await client.moment()
    reader, writer = await talk(client, moment, f"Content-Length: {len(pair) - 5}", token=upload_token)
    writer.write(pair)
    assert (await reader.readline()).split()[1] == b"405"
    writer.close()

    assert client.objects("intake") == []


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("limits", "measured"),
    [
        (
            {"body_grace_s": 0.05, "body_stall_s": 0.05, "body_rate_min_bytes_s": 100_000_000},
            "100000000 bytes a second",
        ),
        ({"body_grace_s": 1000, "body_stall_s": 0.05, "body_rate_min_bytes_s": 1}, "and 0.05 s without a byte"),
    ],
    ids=["rate", "silence"],
)
async def test_a_slow_body_is_cut(
    make_client: MakeClient, upload_token: str, framing: str, limits: dict[str, float], measured: str
) -> None:
    """Below the minimum rate, or silent for too long: 408, nothing stored, and the answer says what was measured."""
    async with make_client(**limits) as client:
        moment = await client.moment()
        reader, writer = await talk(client, moment, framing, token=upload_token)
        writer.write(b"--x\r\n" if "Length" in framing else b"5\r\n--x\r\n\r\n")
        answer = await reader.readuntil(b"}")
        writer.close()
        assert b" 408 " in answer
        problem = msgspec.json.decode(answer[answer.index(b"{") :])
        assert (problem["code"], problem["stored"]) == ("too-slow", False)
        assert "5 bytes of the body came in" in problem["detail"]
        assert measured in problem["detail"]


async def test_a_chunked_pair_is_taken(client: Any, upload_token: str, pair: bytes) -> None:
    """No Content-Length: the most there may be is admitted, and the limit still holds."""
    moment = await client.moment()
    reader, writer = await talk(client, moment, "Transfer-Encoding: chunked", token=upload_token)
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(pair), pair))
    assert (await reader.readline()).split()[1] == b"201"
    writer.close()


async def test_a_pair_in_any_form_of_rfc_2046_is_taken(client: Any, upload_token: str, pair: bytes) -> None:
    """A CRLF in front, padding, folded headers, an epilogue."""
    moment = await client.moment()
    odd = b"\r\n" + pair.replace(b"\r\n--x\r\n", b"\r\n--x \r\n").replace(b"form-data; ", b"form-data;\r\n ") + b"more"
    reader, writer = await talk(client, moment, f"Content-Length: {len(odd)}", token=upload_token)
    writer.write(odd)
    assert (await reader.readline()).split()[1] == b"201"
    writer.close()


RETRY = {"Snapsurge-Retry": "1"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("digest_of", "retry", "status"),
    [("pair", RETRY, 201), ("other", RETRY, 400), ("other", {}, 201), ("pair", {}, 201)],
)
async def test_a_digest_is_checked_when_its_ticket_comes_back(
    client: Any,
    pair: bytes,
    digest_of: str,
    retry: dict[str, str],
    status: int,
    chunked: bool,  # noqa: FBT001
) -> None:
    """Nobody reserves a time for other photos; without a ticket the field is not read."""
    digest = b64encode(sha256(pair if digest_of == "pair" else b"other").digest()).decode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(pair), 100):
            yield pair[start : start + 100]

    headers = {"Content-Digest": f"sha-256=:{digest}:", **retry}
    answer = await client.upload(await client.moment(), body=pieces() if chunked else pair, headers=headers)

    assert answer.status == status
    if status == 400:
        assert (answer.body["code"], answer.body["stored"]) == ("bad-request", False)
        assert "sha-256 of its Content-Digest" in answer.body["detail"]
        assert client.objects("intake") == []


@pytest.mark.parametrize(
    ("field", "chunked", "status"),
    [("md5=:AAAA:", True, 400), ("md5=:AAAA:", False, 201), ("sha-256=:AAAA:", False, 400), ("", True, 400)],
)
async def test_a_retry_without_a_digest_to_check_needs_a_length(
    client: Any,
    pair: bytes,
    field: str,
    chunked: bool,  # noqa: FBT001
    status: int,
) -> None:
    """The balancer gives no such ticket; the node does not rely on that."""

    async def pieces() -> AsyncIterator[bytes]:
        yield pair

    headers = {"Content-Digest": field, **RETRY}
    answer = await client.upload(await client.moment(), body=pieces() if chunked else pair, headers=headers)

    assert answer.status == status


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_an_encoded_body_is_refused(client: Any, encoding: str) -> None:
    """Nothing is inflated here: a few bytes of gzip can be gigabytes."""
    answer = await client.upload(await client.moment(), headers={"Content-Encoding": encoding})

    assert (answer.status, answer.body["code"]) == (400, "bad-request")
