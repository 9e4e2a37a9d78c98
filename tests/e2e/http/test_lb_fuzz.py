"""For any bytes, balancer and aiohttp node agree where each request ends, or the connection closes.

Hypothesis builds byte streams from requests, pieces of requests and damage, and cuts them anywhere. A real client
protocol with fake transports takes them; what it writes to each node connection is fed to the parsers that an aiohttp
node uses (llhttp in C, and the one in Python). They must find exactly the requests, and exactly the bodies, that the
balancer believes it has sent.
"""

import asyncio
import itertools
import socket

import pytest
from aiohttp import http_exceptions, streams
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserC, HttpRequestParserPy
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from lb.config import Config
from lb.placement.fleet import Fleet
from lb.placement.health import Thresholds
from lb.placement.node import Member
from lb.placement.parameters import Placement
from lb.placement.policy import Bound
from lb.relay.client import State
from lb.relay.connections import Connections
from lb.relay.context import Context
from lb.relay.link import Link

pytestmark = pytest.mark.e2e

LINES = [b"GET /a HTTP/1.1", b"POST /b HTTP/1.1", b"POST /c HTTP/1.0", b"HEAD /d HTTP/1.1", b"POST http://a/e HTTP/1.1"]
FIELDS = [
    *(b"Content-Length: %b" % value for value in (b"0", b"3", b"5", b"05", b"+5", b"5, 5", b"0x5", b"5 ", b"", b"-1")),
    *(
        b"Transfer-Encoding: %b" % value
        for value in (b"chunked", b"Chunked", b"x, chunked", b"identity", b"\x0bchunked")
    ),
    *(b"Connection: %b" % value for value in (b"close", b"keep-alive", b"Content-Length", b"Transfer-Encoding, Host")),
    *(b"Transfer-Encoding : chunked", b"Content_Length: 9", b" folded", b"X: y", b"Expect: 100-continue", b"Host: b"),
    *(b"X: \xff", b"Upgrade: websocket", b"Upgrade: h2c", b"Sec-WebSocket-Key: x", b"Cookie: a", b"TE: trailers"),
]
BODIES = [
    *(b"", b"abc", b"abcde", b"0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
    *(
        b"5\r\nabc",
        b"0\n\n",
        b"3\r\nabcX\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nab",
        b"GET /z HTTP/1.1\r\n",
    ),
]
DAMAGE = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"0", b"\x80", b";", b"\r\n\r\n"]

heads = st.builds(
    lambda line, host, fields: b"\r\n".join([line, *host, *fields, b"", b""]),
    st.sampled_from(LINES),
    st.sampled_from([[b"Host: a"]] * 9 + [[]]),
    st.lists(st.sampled_from(FIELDS), max_size=3),
)
sound = st.sampled_from(
    [
        b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST /s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    ]
)
requests = st.builds(lambda head, body: head + body, heads, st.sampled_from(BODIES)) | sound


@st.composite
def wires(draw: st.DrawFn) -> list[bytes]:
    """A stream, perhaps damaged, cut into pieces."""
    raw = b"".join(draw(st.lists(requests, min_size=1, max_size=4))) + draw(st.binary(max_size=3))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from([*DAMAGE, b""])) + raw[at + draw(st.integers(0, 2)) :]
    cuts = draw(st.lists(st.integers(0, len(raw)), max_size=6).map(sorted) | st.just(range(len(raw) + 1)))
    return [raw[start:end] for start, end in itertools.pairwise([0, *cuts, len(raw)]) if end > start]


class Wire:
    """A transport that keeps what is written; its socket is real, so that looking into it works."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.written, self.closed = sock, b"", False

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Peer or socket."""
        return {"peername": ("127.0.0.1", 1), "socket": self.sock}.get(name, default)

    def write(self, data: bytes) -> None:
        """Kept."""
        self.written += data

    def writelines(self, parts: list[bytes]) -> None:
        """Kept."""
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        """Closed or cut."""
        return self.closed

    def can_write_eof(self) -> bool:
        """Plain TCP can."""
        return True

    def close(self) -> None:
        """Closed."""
        self.closed = True

    abort = close

    def nothing(self, *_: object, **__: object) -> None:
        """Of no interest here."""

    set_write_buffer_limits = pause_reading = resume_reading = write_eof = nothing


async def believed(pieces: list[bytes]) -> list[tuple[bytes, int, bool]]:
    """What the balancer wrote on each node connection: the bytes, how many requests it thinks they complete, whether
    one more has begun; every complete request is answered, so that pipelined ones have their turn.
    """  # noqa: D205
    near, far = socket.socketpair()
    near.setblocking(False)
    placement = Placement(
        policy="ring", seed=b"s", slots=1024, bound=Bound(125, 16), thresholds=Thresholds(), checked=False
    )
    fleet = Fleet(placement)
    fleet.set_members([Member(id="a", address="127.0.0.1:9")], 0.0)
    jobs: list[object] = []
    connections = Connections(Context(Config(), fleet, hash_on="uri", spawn=jobs.append))
    client, front = connections.accept(), Wire(near)
    client.connection_made(front)  # type: ignore[arg-type]
    found: list[tuple[bytes, int, bool]] = []
    pending = list(pieces)
    current: tuple[object, Wire, Link] | None = None
    linked: object = None  # the exchange whose connection was made
    while True:
        exchange = client.exchange
        if exchange is not None and exchange is not linked and not exchange.over:
            wire = Wire(near)
            link = Link(fleet.nodes["a"], head_bytes_max=65536, write_bytes_max=65536)
            link.connection_made(wire)  # type: ignore[arg-type]
            exchange.link_made(link)
            linked = exchange
            current = (exchange, wire, link)
        if current and exchange is current[0] and exchange.request_done:
            found.append((current[1].written, 1, False))
            current[2].data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            current = None
            await asyncio.sleep(0)  # a pipelined request is taken in the loop's next turn
        elif pending and not front.closed and client.state is not State.DISCARD:
            client.data_received(pending.pop(0))
            if current and client.exchange is not current[0]:  # refused within its body
                found.append((current[1].written, 0, True))
                current = None
        else:
            break
    if current:
        found.append((current[1].written, 0, True))
    for job in jobs:
        job.close()  # type: ignore[attr-defined]
    near.close()
    far.close()
    return found


class Quiet(BaseProtocol):
    """The parser wants a protocol to slow down."""

    def pause_reading(self, *_: object, **__: object) -> None:
        """Never needed."""

    def resume_reading(self, *_: object, **__: object) -> None:
        """Never needed."""


def parsed(kind: type, raw: bytes) -> tuple[int, int, bytes]:
    """Requests begun, requests whole and bytes left over, as an aiohttp node's parser finds them."""
    loop = asyncio.get_running_loop()
    parser = kind(Quiet(loop), loop, 2**16)
    messages, _, left = parser.feed_data(raw)
    whole = sum(1 for _, body in messages if body is streams.EMPTY_PAYLOAD or body.is_eof())
    return len(messages), whole, left


def refuses(kind: type, raw: bytes) -> bool:
    """Whether such a node refuses the head by itself (an odd method, say): then it closes, and nothing is smuggled."""
    try:
        parsed(kind, raw[: raw.index(b"\r\n\r\n") + 4])
    except http_exceptions.HttpProcessingError:
        return True
    return False


@given(pieces=wires())
@settings(max_examples=1500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_balancer_and_node_find_the_same_ends(pieces: list[bytes]) -> None:
    """Each node connection holds exactly one request for every reader, whole if and only if the balancer says so."""
    agree(pieces)


def agree(pieces: list[bytes]) -> None:
    """Fails where the balancer and one of the node's parsers do not."""

    async def run() -> None:
        for raw, done, _ in await believed(pieces):
            note(repr(raw))
            for kind in (HttpRequestParserC, HttpRequestParserPy):
                assert refuses(kind, raw) or parsed(kind, raw) == (1, done, b""), kind

    asyncio.run(run())


@given(pieces=wires())
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_they_do_in_many_more_streams(pieces: list[bytes]) -> None:
    """The same, long and with fresh randomness."""
    agree(pieces)


def test_the_check_itself_finds_a_smuggler() -> None:
    """The parsers do find two requests where there are two, so that agreement means something."""

    async def run() -> None:
        raw = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        assert parsed(HttpRequestParserC, raw)[0] == 2
        with pytest.raises(http_exceptions.HttpProcessingError):
            parsed(HttpRequestParserC, b"GET /a\x00 HTTP/1.1\r\n\r\n")

    asyncio.run(run())
