"""bench.peers.bare: takes bodies and puts them, on one connection and whole; knows nothing else."""

import sys
from pathlib import Path

import pytest

from bench.peers import backing, bare, started, textbook
from bench.peers.bare import content_length
from bench.peers.phone import connected

SECRET = "a-secret-for-tests-of-32-characters"


async def test_bodies_are_put_one_after_another(tmp_path: Path, redis_url: str, minio_url: str) -> None:
    """A small and a large one, head and body in one piece and in two; the textbook made the bucket."""
    port, other = started.free_port(), started.free_port()
    book = ["env", *backing.credentials(), sys.executable, "-m", textbook.__name__]
    command = [sys.executable, "-m", bare.__name__, str(port), minio_url, "bare-test"]
    with (
        started.process([*book, str(other), minio_url, "bare-test", redis_url, SECRET], other),
        started.process(command, port),
    ):
        phone = await connected(port)
        for size in (10, 3_000_000):
            head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
            assert (await phone.post([head, bytes(size)])).startswith(b"HTTP/1.1 201 ")
        phone.transport.close()
        await phone.closed.wait()


def test_a_head_without_a_length_is_refused() -> None:
    """It is no server for others."""
    assert content_length(b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n") == 12
    with pytest.raises(ValueError, match="Content-Length"):
        content_length(b"POST / HTTP/1.1\r\n\r\n")
