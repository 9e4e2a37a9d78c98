"""bench.peers.sink: bodies counted, one answer a request."""

import pytest

from bench.peers.sink import ANSWER, Sink


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written, self.closed = b"", False

    def write(self, data: bytes) -> None:
        """Kept."""
        self.written += data

    def close(self) -> None:
        """Closed."""
        self.closed = True


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_body_is_answered_once_however_it_comes(size: int) -> None:
    """With a length, in chunks, without a body, over one connection, in pieces."""
    sink, transport = Sink(), Transport()
    sink.connection_made(transport)
    counted, bodiless = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for raw in (counted, chunked, bodiless, chunked.replace(b"5\r\nhello\r\n", b""), counted):
        for position in range(0, len(raw), size):
            sink.data_received(raw[position : position + size])

    assert transport.written == ANSWER * 5
    assert not transport.closed


def test_a_peer_that_says_close_is_closed() -> None:
    """As HTTP/1.1 has it."""
    sink, transport = Sink(), Transport()
    sink.connection_made(transport)
    sink.data_received(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert (transport.written, transport.closed) == (ANSWER, True)
