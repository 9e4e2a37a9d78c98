"""lb.relay.link: a node's answer, whole or in pieces, early, cut, or hidden behind a reset."""

import asyncio
import socket
import struct

import pytest
import uvloop

from lb.http1.head import ResponseHead
from lb.relay.link import Link

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nhello"


class Recorder:
    """A receiver that writes down what it is told."""

    def __init__(self, *, bodiless: bool = False, http_1_0: bool = True) -> None:
        self.bodiless, self.http_1_0 = bodiless, http_1_0
        self.told: list[str] = []
        self.body = b""

    def interim(self, head: ResponseHead) -> None:
        """Noted."""
        self.told.append(f"interim {head.status}")

    def answered(self, head: ResponseHead, data: bytes, *, bounded: bool) -> None:
        """Noted, the first piece collected."""
        self.body += data
        self.told.append(f"{head.status} {'bounded' if bounded else 'endless'}")

    def answer_data(self, data: bytes) -> None:
        """Collected."""
        self.body += data

    def answer_done(self) -> None:
        """Noted."""
        self.told.append("done")

    def link_lost(self, reason: str) -> None:
        """Noted."""
        self.told.append(f"lost: {reason}")

    def pause_body(self) -> None:
        """Noted."""
        self.told.append("hold")

    def resume_body(self) -> None:
        """Noted."""
        self.told.append("resume")


def link(stage, receiver: Recorder) -> Link:  # noqa: ANN001 - the stage fixture
    """A link in use by the receiver."""
    made = Link(stage.fleet.nodes["a"], head_bytes_max=1000, write_bytes_max=4096)
    made.connection_made(stage.transport())
    made.begin(receiver)
    return made


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("raw", [COUNTED, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED])
async def test_answers_are_followed_to_their_end(stage, raw: bytes, size: int) -> None:  # noqa: ANN001
    """However the bytes come: head, body, done, and the link can serve again."""
    receiver = Recorder()
    used = link(stage, receiver)
    for position in range(0, len(raw), size):
        used.data_received(raw[position : position + size])

    assert receiver.told[-2:] == ["200 bounded", "done"]
    assert receiver.told[:-2] == (["interim 100"] if b"100" in raw else [])
    assert receiver.body == b"hello"
    assert used.reusable


async def test_any_number_of_interim_answers_may_come_in_one_read(stage) -> None:  # noqa: ANN001
    """With the final one behind them; they do not nest."""
    receiver = Recorder()
    used = link(stage, receiver)
    used.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000 + COUNTED)

    assert receiver.told == [*["interim 103"] * 5000, "200 bounded", "done"]
    assert used.reusable


async def test_an_endless_answer_ends_with_its_connection(stage) -> None:  # noqa: ANN001
    """Without a length the end of the connection is the end of the body, and the link is spent."""
    receiver = Recorder()
    used = link(stage, receiver)
    used.data_received(ENDLESS)
    used.eof_received()

    assert receiver.told == ["200 endless", "done"]
    assert not used.reusable


@pytest.mark.parametrize("raw", [b"", COUNTED[:-1], CHUNKED[:-1], b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_cut_answer_is_lost(stage, raw: bytes) -> None:  # noqa: ANN001
    """An end before the end is a loss."""
    receiver = Recorder()
    used = link(stage, receiver)
    if raw:
        used.data_received(raw)
    used.eof_received()

    assert receiver.told[-1] == "lost: the node closed the connection"
    assert used.stale()


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 101 Hm\r\n\r\n", b"x" * 1001, CHUNKED.replace(b"5\r\n", b"5 \n")]
)
async def test_nonsense_is_lost(stage, raw: bytes) -> None:  # noqa: ANN001
    """What is not HTTP ends the exchange with a reason."""
    receiver = Recorder()
    link(stage, receiver).data_received(raw)

    assert receiver.told[-1].startswith("lost: invalid answer: ")


async def test_bodiless_answers_have_no_body(stage) -> None:  # noqa: ANN001
    """HEAD, 204 and 304 end with their heads; bytes after an answer spoil the link."""
    receiver = Recorder(bodiless=True)
    used = link(stage, receiver)
    used.data_received(COUNTED)
    assert receiver.told == ["200 bounded", "done"]
    assert not used.reusable
    receiver = Recorder()
    link(stage, receiver).data_received(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")
    assert receiver.told == ["304 bounded", "done"]


async def test_a_link_looks_before_it_is_used_again(stage) -> None:  # noqa: ANN001
    """Open and silent is fresh; closed by the node, or speaking out of turn, is stale."""
    fresh = link(stage, Recorder())
    assert not fresh.stale()
    fresh.transport.far.close()
    assert fresh.stale()
    speaking = link(stage, Recorder())
    speaking.receiver = None
    speaking.data_received(b"HTTP/1.1 408 Idle\r\n\r\n")
    assert speaking.stale()


async def test_backpressure_is_passed_on(stage) -> None:  # noqa: ANN001
    """A full write buffer holds the body, an empty one resumes it; reading pauses once."""
    receiver = Recorder()
    used = link(stage, receiver)
    used.pause_writing()
    used.resume_writing()
    used.pause_answer()
    assert not used.transport.reading
    used.resume_answer()

    assert receiver.told == ["hold", "resume"]
    assert used.transport.reading


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_behind_a_reset_is_still_read(stage_config, new_loop) -> None:  # noqa: ANN001
    """The node answers and resets; our write fails first, and the answer waiting in the socket is read all the same."""

    async def run() -> Recorder:
        loop, listener = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
        receiver = Recorder()
        _, used = await loop.create_connection(
            lambda: Link(stage_config, head_bytes_max=1000, write_bytes_max=4096), *listener.getsockname()
        )
        used.begin(receiver)
        used.transport.pause_reading()
        node, _ = listener.accept()
        node.sendall(COUNTED)
        node.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        node.close()
        listener.close()
        async with asyncio.timeout(10):
            while used.alive:
                used.transport.write(bytes(1000))
                await asyncio.sleep(0)
        return receiver

    loop = new_loop()
    try:
        receiver = loop.run_until_complete(run())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert receiver.told == ["200 bounded", "done"]
    assert receiver.body == b"hello"


@pytest.fixture
def stage_config() -> object:
    """A stand-in for the node, which a link only carries."""
    return object()


async def test_a_node_that_ends_an_idle_link_is_checked_at_once(stage) -> None:  # noqa: ANN001 - the stage fixture
    """A process that dies is noticed without any request; links that we close say nothing."""
    for end, check_at in (("close", 99.0), ("eof_received", 0.0), ("connection_lost", 0.0)):
        made = Link(stage.fleet.nodes["a"], head_bytes_max=1000, write_bytes_max=4096)
        made.connection_made(stage.transport())
        made.node.check_at = 99.0
        getattr(made, end)(*([None] if end == "connection_lost" else []))
        assert made.node.check_at == check_at
        made.connection_lost(None)
        assert made.node.check_at == check_at
