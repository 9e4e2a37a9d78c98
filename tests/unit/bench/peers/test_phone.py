"""bench.peers.phone: answers in pieces, wrong answers, and none."""

import asyncio

import pytest

from bench.peers.phone import PhoneError, connected


async def served(answer: bytes, pieces: int = 1) -> bytes:
    """What a phone hears from a server that says this, or its error."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    size = max(1, -(-len(answer) // pieces))
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    phone = await connected(server.sockets[0].getsockname()[1])
    try:
        return await phone.post([b"POST", b" /\n"])
    finally:
        phone.transport.close()
        server.close()
        await phone.closed.wait()


@pytest.mark.parametrize("pieces", [1, 3, 1000])
async def test_an_answer_is_whole_when_its_length_is_there(pieces: int) -> None:
    """In one piece or a byte at a time."""
    said = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"

    assert await served(said, pieces) == said


@pytest.mark.parametrize("pieces", [1, 3, 1000])
async def test_interim_answers_are_passed_over(pieces: int) -> None:
    """Two in a row."""
    said = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"
    interim = b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

    assert await served(interim + said, pieces) == said


@pytest.mark.parametrize("said", [b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", b"", b"HTTP/1.1 201 Created\r\n"])
async def test_what_is_not_201_is_an_error(said: bytes) -> None:
    """Another status, no answer, half of one: a bench never counts it as a pair."""
    with pytest.raises(PhoneError):
        await served(said)
