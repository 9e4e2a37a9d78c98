"""lb.relay.waking: bodies in small pieces are read in larger ones, and nothing waits for bytes that never come."""

import socket

import pytest

from lb.relay.records import Records
from lb.relay.waking import LOOKS_MAX, PIECE_BYTES, WAKE_BYTES

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LENGTH = 3 * WAKE_BYTES

pytestmark = pytest.mark.asyncio


def wakes_at(transport) -> int:  # noqa: ANN001 - the stage's
    """As the kernel has it."""
    return transport.near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


async def test_after_a_small_piece_more_is_waited_for_but_never_more_than_comes(stage) -> None:  # noqa: ANN001
    """At most what is worth a read, then what is left, then every byte again: the next is a head."""
    client, transport = stage.client()
    client.data_received(POST % LENGTH)
    link, _ = stage.link(client)
    seen = [wakes_at(transport)]
    for size in (1, WAKE_BYTES, WAKE_BYTES, WAKE_BYTES - 2, 1):
        client.data_received(b"x" * size)
        seen.append(wakes_at(transport))
    link.data_received(OK)

    assert seen == [1, WAKE_BYTES, WAKE_BYTES, WAKE_BYTES - 1, 1, 1]
    assert client.idle


@pytest.mark.parametrize(("size", "expected"), [(PIECE_BYTES, 1), (PIECE_BYTES - 1, WAKE_BYTES)])
async def test_a_body_that_comes_fast_pays_nothing(stage, size: int, expected: int) -> None:  # noqa: ANN001
    """Only pieces that are not worth a read each change anything."""
    client, transport = stage.client()
    client.data_received(POST % LENGTH)
    stage.link(client)
    client.data_received(b"x" * size)

    assert wakes_at(transport) == expected


async def test_under_tls_the_rest_of_a_record_is_waited_for(stage) -> None:  # noqa: ANN001
    """What came of a record that is not complete does not come again; its end wakes."""
    client, transport = stage.client()
    transport.records = Records()
    client.data_received(POST % 20_000)
    stage.link(client)
    client.data_received(b"x")
    seen = [wakes_at(transport)]
    transport.records.feed(memoryview(b"\x17\x03\x03" + (16_401).to_bytes(2, "big") + bytes(401)))
    client.record_begun()
    seen.append(wakes_at(transport))
    transport.records.feed(memoryview(bytes(16_000)))
    client.data_received(b"x" * 16_384)
    seen.append(wakes_at(transport))

    assert seen == [19_999, 16_000 + 19_999 - 16_401, 19_999 - 16_384]


async def test_a_record_wakes_nobody_who_did_not_wait(stage) -> None:  # noqa: ANN001
    """Heads, and bodies that come fast."""
    client, transport = stage.client()
    client.record_begun()
    client.data_received(POST % LENGTH)
    client.record_begun()

    assert wakes_at(transport) == 1


async def test_of_a_chunked_body_no_more_is_waited_for_than_must_come(stage) -> None:  # noqa: ANN001
    """The rest of a chunk, its end, and the last chunk; where the next size is not known, any byte."""
    client, transport = stage.client()
    client.data_received(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    link, _ = stage.link(client)
    seen = []
    for piece in (b"ff", b"ff\r\nx", b"x" * 0xFF00, b"x" * 0xFE, b"\r\n", b"0\r\n\r\n"):
        client.data_received(piece)
        seen.append(wakes_at(transport))
    link.data_received(OK)

    assert seen == [1, WAKE_BYTES, 0xFE + 7, 7, 1, 1]
    assert client.idle


async def test_a_refused_body_is_dropped_as_it_comes(stage) -> None:  # noqa: ANN001
    """Its end would not wake us otherwise."""
    client, transport = stage.client()
    client.data_received(POST % LENGTH + b"x")
    link, _ = stage.link(client)
    client.data_received(b"x")
    assert wakes_at(transport) == WAKE_BYTES
    link.data_received(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")

    assert wakes_at(transport) == 1


@pytest.mark.parametrize(("bytes_a_second", "cut"), [(4096, False), (1, True)])
async def test_what_waits_in_the_kernel_counts_as_received(stage, bytes_a_second: int, cut: bool) -> None:  # noqa: ANN001, FBT001
    """A slow phone keeps up its rate although nobody reads; one that is too slow does not."""
    client, transport = stage.client()
    client.data_received(POST % (9 * WAKE_BYTES) + b"x")
    stage.link(client)
    for _ in range(stage.config.body_grace_s + 3):
        transport.far.send(bytes(bytes_a_second))
        client.check(1.0)

    assert transport.written.startswith(b"HTTP/1.1 408 ") is cut


async def test_bytes_do_not_wait_for_more_for_ever(stage) -> None:  # noqa: ANN001
    """After some looks any byte wakes, so that the node hears of a very slow phone; a read starts anew."""
    client, transport = stage.client()
    client.data_received(POST % LENGTH + b"x")
    stage.link(client)
    client.data_received(b"x")
    seen = []
    for piece in (b"", b"", b"y", *[b""] * LOOKS_MAX):
        transport.far.send(piece)
        client.check(1.0)
        seen.append(wakes_at(transport))

    assert seen == [WAKE_BYTES] * (LOOKS_MAX + 2) + [1]
    client.data_received(b"y")
    assert wakes_at(transport) == WAKE_BYTES


async def test_a_connection_that_was_just_closed_is_no_error(stage) -> None:  # noqa: ANN001
    """Its socket has nothing to say."""
    client, transport = stage.client()
    client.data_received(POST % LENGTH + b"x")
    stage.link(client)
    transport.near.close()
    client.data_received(b"x" * (LENGTH - 100))
    client.check(1.0)

    assert client.exchange is not None
