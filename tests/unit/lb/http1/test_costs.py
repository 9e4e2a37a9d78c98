"""What hostile bytes cost before anything is decided: CPU, as a ratio to a phone's head or body in the same test.

A phone's head takes some 8 us here. A head of 16 KiB may take a hundred times as much, under a millisecond, whatever
stands in it; and it may not cost more in a trickle than bytes that are only counted.
"""

import base64
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.http1.body import BodyError, Chunked
from lb.http1.errors import RequestError, ResponseError
from lb.http1.head import find_request, parse_response
from lb.http1.keys import subject
from lb.http1.origin import origin
from lb.http1.proxy_protocol import SIGNATURE, ProxyError, parse
from lb.http1.tickets import Tickets, split_ticket
from lb.networks import contains, networks
from lb.private_paths import PrivatePaths

RATIO_MAX = 100
HEAD_BYTES = 16384
N = HEAD_BYTES - 84
PLAIN = (
    b"POST /v1/moments/eu-20260101-abc/posts HTTP/1.1\r\nHost: a.example\r\nUser-Agent: phone/1.2\r\nAccept: */*\r\n"
    b"Authorization: Bearer " + b"x" * 250 + b"\r\nContent-Type: multipart/form-data; boundary=abcdef\r\n"
    b"Content-Length: 700000\r\n\r\n"
)
REFUSALS = (RequestError, ResponseError, BodyError, ProxyError)
TICKETS = Tickets([b"a-secret-for-these-tests"])
PRIVATE = PrivatePaths("/metrics")
KNOWN = networks("10.0.0.0/8, 127.0.0.0/8, 2001:db8::/32")


def seconds(work: Callable[[], object], times: int) -> float:
    """CPU of one call: the least of some rounds."""
    found = []
    for _ in range(5):
        begun = time.thread_time()
        for _ in range(times):
            with suppress(*REFUSALS):
                work()
        found.append((time.thread_time() - begun) / times)
    return min(found)


def ratio(work: Callable[[], object]) -> float:
    """To reading a phone's head; the least of some, because a neighbour slows one of the two more than the other."""
    found = float("inf")
    for _ in range(6):
        found = min(found, seconds(work, 3) / seconds(lambda: find_request(PLAIN, HEAD_BYTES), 50))
        if found <= RATIO_MAX:
            break
    return found


def whole(raw: bytes) -> None:
    """All that a balancer does with a head: read it, take out the ticket, read the forwarding fields, find its key."""
    found = find_request(raw, HEAD_BYTES)
    if found:
        balancer_fields, ticket = split_ticket(found[0].balancer_fields)
        origin(balancer_fields, b"127.0.0.1", b"http", KNOWN)
        TICKETS.read(found[0], ticket or b"", 1)
        subject(found[0].authorization)
        PRIVATE.hide(found[0].target)


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    """A head."""
    return b"\r\n".join([start, b"Host: a", *lines, b"", b""])


HEADS = {
    "many fields": head(*[b"a%d: %b" % (n, b"x" * 150) for n in range(98)]),
    "too many fields": head(*[b"a:"] * 4000),
    "connection of commas": head(b"Connection: " + b"," * N),
    "connection of options": head(b"Connection: " + b"a," * (N // 2)),
    "options that name fields": head(
        b"Connection: " + b",".join(b"%x" % n for n in range(2500)), *[b"z%d: 1" % n for n in range(90)]
    ),
    "forwarded of commas": head(b"X-Forwarded-For: " + b"," * N),
    "forwarded by many trusted": head(b"X-Forwarded-For: " + b"10.0.0.1," * (N // 9)),
    "forwarded by many mapped": head(b"X-Forwarded-For: " + b"::ffff:10.0.0.1," * (N // 16)),
    "forwarded by colons": head(b"X-Forwarded-For: " + b":" * N),
    "forwarded in many lines": head(*[b"X-Forwarded-For: " + b"10.0.0.1," * 16 for _ in range(90)]),
    "spaces": head(b"A: " + b" " * N),
    "blanks and a control": head(b"A: " + b"\t " * (N // 2) + b"\x01"),
    "blanks before the colon": head(b"A" + b" " * N + b": x"),
    "long name": head(b"a" * N + b" : x"),
    "long target": head(start=b"GET /" + b"a" * N + b" HTTP/1.1"),
    "target of slashes and dots": head(start=b"GET " + b"/.." * (N // 3) + b" HTTP/1.1"),
    "target of percents": head(start=b"GET /" + b"%2e" * (N // 3) + b" HTTP/1.1"),
    "nearly a request line": head(start=b"GET /" + b"a" * N + b" HTTP/1.1 "),
    "absolute target": head(start=b"GET http://" + b"a:" * (N // 2) + b" HTTP/1.1"),
    "absolute target's host": head(start=b"GET http://" + b"a" * N + b"/ HTTP/1.1"),
    "long method": b"G" * N + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    "nearly a host": b"GET / HTTP/1.1\r\nHost: " + b"a" * N + b":\r\n\r\n",
    "nearly an address": b"GET / HTTP/1.1\r\nHost: [" + b":" * N + b"\r\n\r\n",
    "authorization of words": head(b"Authorization: " + b"a " * (N // 2)),
    "authorization of dots": head(b"Authorization: Bearer " + b"." * N),
    "deep claims": head(b"Authorization: Bearer a." + base64.urlsafe_b64encode(b'{"a":' + b"[" * 11000) + b".c"),
    "many claims": head(b"Authorization: Bearer a." + base64.urlsafe_b64encode(b"{%b" % (b'"a":1,' * 1900)) + b".c"),
    "underscores": head(*[b"content_lengt%d: 1" % n for n in range(98)]),
    "tickets": head(*[b"Snapsurge-Ticket: " + b"x" * 100] * 98),
    "digits": head(b"Content-Length: " + b"1" * N),
    "codings": head(b"Transfer-Encoding: " + b"chunked," * (N // 8)),
    "expectations": head(*[b"Expect: 100-continue"] * 98),
    "via": head(b"Via: " + b"1.1 a, " * (N // 7)),
    "cookies": head(b"Cookie: " + b"a=b; " * (N // 5)),
    "no end": b"GET / HTTP/1.1\r\n" + b"a" * N,
    "bare CR": b"GET / HTTP/1.1\r\n" + b"\r" * N,
    "bare LF": b"GET / HTTP/1.1\n" + b"a:\n" * (N // 3),
}


@pytest.mark.parametrize("name", HEADS)
def test_no_head_takes_a_millisecond(name: str) -> None:
    """Made by hand to be dear."""
    assert len(HEADS[name]) <= HEAD_BYTES
    assert ratio(lambda: whole(HEADS[name])) < RATIO_MAX


ATOMS = st.sampled_from(
    [
        b",",
        b", ",
        b" ",
        b"\t",
        b";",
        b":",
        b"a",
        b"a:",
        b"a_",
        b"%2e",
        b"/",
        b"//",
        b"[",
        b"::",
        b".",
        b"=",
        b'"',
        b"\r\n ",
        b"\r\na:",
        b"\r\nHost: a",
        b"\r\nX-Forwarded-For: 10.0.0.1",
        b"\r\nConnection: ",
        b"\xff",
        b"chunked,",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Connection",
        b"X-Forwarded-For",
        b"Host",
        b"Authorization",
        b"Authorization: Bearer",
        b"Via",
        b"Transfer-Encoding",
        b"Content-Length",
        b"Snapsurge-Ticket",
        b"Expect",
        b"Content-Digest",
        b"X-Request-Id",
        b"A",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    field=FIELDS, atoms=st.lists(ATOMS, min_size=1, max_size=3), end=st.sampled_from([b"", b"\x00", b" ", b"!", b":"])
)
def test_no_repetition_takes_a_millisecond(field: bytes, atoms: list[bytes], end: bytes) -> None:
    """One to three atoms, again and again, in each field that is read."""
    atom = b"".join(atoms)
    raw = head(field + b": " + (atom * (N // len(atom)))[: N - 20] + end)
    assert ratio(lambda: whole(raw)) < RATIO_MAX


@pytest.mark.parametrize(
    "raw",
    [
        b"PROXY TCP6 " + b":" * 39 + b" " + b":" * 39 + b" 1 2\r\n",
        b"PROXY UNKNOWN " + b" " * 91 + b"\r\n",
        SIGNATURE + b"!!" + (2048).to_bytes(2, "big") + bytes(2048),
    ],
)
def test_no_proxy_header_takes_a_millisecond(raw: bytes) -> None:
    """The longest of each kind, and nearly one."""
    assert ratio(lambda: parse(raw)) < RATIO_MAX


def test_no_nodes_answer_is_dear() -> None:
    """Their heads may be longer, and nodes are ours: a few milliseconds at most."""
    line = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    for more in (b"a: b\r\n" * 9000, b"Connection: " + b"a," * 30000 + b"\r\n"):
        assert ratio(lambda more=more: parse_response(line + more)) < 4 * RATIO_MAX


def test_an_untrusted_address_is_cheap_to_tell() -> None:
    """Whatever text it is."""
    for text in ("10.0.0.1", ":" * N, "1." * (N // 2), "::ffff:10.0.0.1", ":" * 64):
        assert ratio(lambda text=text: contains(KNOWN, text)) < RATIO_MAX / 4


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"000000000000001\r\nx\r\n", b"1;a=b\r\nx\r\n"])
def test_chunks_of_one_byte_cost_in_proportion(chunk: bytes) -> None:
    """A read's worth of them; and the node is sent one chunk, not theirs."""
    raw = (chunk * (32768 // len(chunk))) + b"0\r\n\r\n"
    sent = b"".join(Chunked().feed(raw))
    assert sent.count(b"\r\n") == 4
    assert ratio(lambda: Chunked().feed(raw)) < 30 * RATIO_MAX  # 30 KiB of body: under a millisecond a KiB


def spent(stage: object, pieces: list[bytes]) -> float:
    """CPU of a connection that these come in on; the least of some."""
    found = []
    for _ in range(3):
        client, _ = stage.client()
        begun = time.thread_time()
        for piece in pieces:
            client.data_received(piece)
        found.append(time.thread_time() - begun)
    return min(found)


async def test_a_head_in_a_trickle_costs_what_a_body_in_a_trickle_does(stage) -> None:  # noqa: ANN001 - the stage
    """A byte at a time, 16 KiB: each byte is looked at once, not each time that another one comes."""
    raw = HEADS["many fields"][:-4]
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    for _ in range(3):
        trickled = spent(stage, [raw[at : at + 1] for at in range(len(raw))])
        counted = spent(stage, [post, *[b"x"] * len(raw)])
        if trickled < 6 * counted:
            break
    assert trickled < 6 * counted, (trickled, counted)


def body_spent(stage: object, framing: bytes, piece: bytes) -> float:
    """CPU of passing 16 MiB of body on to a node, in pieces of a read's size; the least of some."""
    found = []
    for _ in range(5):
        client, _ = stage.client()
        client.data_received(b"POST /p HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        _, node = stage.link(client)
        begun = time.thread_time()
        for _ in range(512):
            client.data_received(piece)
            node.written = b""
        found.append(time.thread_time() - begun)
    return min(found)


async def test_a_chunked_body_costs_little_more_than_a_counted_one(stage) -> None:  # noqa: ANN001 - the stage
    """Chunks as a phone's library sends them, 16 KiB each. Without the kernel's work a counted body is nearly free.

    Ten times as much is 10 us for each 32 KiB, less than reading and sending them take; looking at each byte is 3,000.
    """
    counted, data = b"Content-Length: 20000000", b"x" * 32768
    chunks = (b"3ff8\r\n" + b"x" * 0x3FF8 + b"\r\n") * 2
    for _ in range(6):
        ratio = body_spent(stage, b"Transfer-Encoding: chunked", chunks) / body_spent(stage, counted, data)
        if ratio < 30:
            break
    assert ratio < 30
