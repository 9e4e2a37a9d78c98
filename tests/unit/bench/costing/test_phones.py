"""Phones against a real server on a loopback socket."""

import asyncio
from typing import Any

import pytest

from bench.costing.phones import PAIRS, PIECE_BYTES, UPLINK_BYTES_S, bodies, connected, head, mixed, upload
from bench.costing.stack import Stack
from bench.peers.phone import PhoneError
from tests.ports import free_port

ACCEPTED = b"HTTP/1.1 201 Created\r\nLocation: /v1/posts/abc-m1\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers as soon as it has so many bytes; notes what came."""

    def __init__(self, wanted: int, answer: bytes, reads: list[bytes]) -> None:
        self._wanted, self._answer, self._reads = wanted, answer, reads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer once."""
        self._reads.append(data)
        if self._wanted > 0 and sum(map(len, self._reads)) >= self._wanted:
            self._wanted = 0
            self._transport.write(self._answer)


async def sent(answer: bytes, *, paced: bool, early: bool = False) -> tuple[str, list[bytes], float]:
    """Upload a body of 62,500 bytes, a tenth of a second of uplink; the post's id, what came, seconds."""
    reads: list[bytes] = []
    body, loop, port = bytes(62_500), asyncio.get_running_loop(), free_port()
    server = await loop.create_server(lambda: Server(4 if early else 4 + len(body), answer, reads), "127.0.0.1", port)
    async with server:
        phone = await connected(port)
        began = loop.time()
        try:
            return await upload(phone, b"head", body, paced=paced), reads, loop.time() - began
        finally:
            phone.transport.abort()


async def test_a_paced_upload_comes_in_pieces_after_its_head() -> None:
    """No faster than the uplink: the last piece leaves when the ones before it have."""
    post_id, reads, seconds = await sent(ACCEPTED, paced=True)

    assert post_id == "abc-m1"
    assert b"".join(reads) == b"head" + bytes(62_500)
    assert seconds >= (62_500 - PIECE_BYTES) / UPLINK_BYTES_S * 0.9
    assert len(reads) > 1


async def test_an_upload_without_pace_is_sent_at_once() -> None:
    """The same bytes."""
    post_id, reads, _ = await sent(ACCEPTED, paced=False)

    assert (post_id, b"".join(reads)) == ("abc-m1", b"head" + bytes(62_500))


@pytest.mark.parametrize("answer", [REFUSED, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"])
async def test_what_is_not_accepted_is_an_error(answer: bytes) -> None:
    """A refusal before the body is sent, or an acceptance that names no post."""
    with pytest.raises(PhoneError):
        await sent(answer, paced=True, early=True)


def test_pairs_have_the_size_that_is_asked_for() -> None:
    """Both photos, and little around them; all different."""
    made = bodies(60_000)
    assert len({*made}) == len(made)
    assert all(120_000 < len(body) < 121_000 for body in made)


def test_a_mixture_has_the_mean_that_is_asked_for_and_the_scatter_of_a_burst() -> None:
    """As many pairs, all of other sizes; the largest photo is three times the smallest one, as of a log-normal 0.4."""
    made = sorted(map(len, mixed(100_000)))
    assert len(made) == PAIRS
    assert sum(made) / PAIRS == pytest.approx(200_000, rel=0.01)
    assert 1.2 < made[-1] / made[0] < 4


async def test_each_upload_has_a_token_and_a_length(tmp_path: Any) -> None:
    """Of its user."""
    stack = Stack("file", tmp_path, [], None)  # type: ignore[arg-type] # no request is made
    text = head(stack, "m1", "user-1", 17).decode()
    assert "POST /v1/moments/m1/posts HTTP/1.1\r\n" in text
    assert "\r\nContent-Length: 17\r\n" in text
    assert "Authorization: Bearer ey" in text
