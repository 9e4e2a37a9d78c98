"""Request lines, targets, Host, field names and values, limits: what is odd is refused before any node sees it."""

import pytest

from tests.e2e.http.recorder import GARBAGE, POST, Case, Recorder, check, passes, play, statuses
from tests.e2e.test_lb_harness import Balancer

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

HOST = b"Host: a\r\n\r\n"


def line(start: bytes, fields: bytes = b"Host: a\r\n") -> bytes:
    """A request without a body, by its request line."""
    return start + b"\r\n" + fields + b"\r\n"


def field(raw: bytes) -> bytes:
    """A GET with one more line in its head."""
    return line(b"GET /x HTTP/1.1", b"Host: a\r\n" + raw + b"\r\n")


def host(*values: bytes, target: bytes = b"/x") -> bytes:
    """A GET with these Host fields."""
    return line(b"GET " + target + b" HTTP/1.1", b"".join(b"Host: " + value + b"\r\n" for value in values))


REFUSED = {
    # Line ends and white space.
    "bare LF throughout": b"GET /x HTTP/1.1\nHost: a\n\n",
    "bare LF after the request line": b"GET /x HTTP/1.1\n" + HOST,
    "bare LF after a field": field(b"X: a\nY: b"),
    "bare LF at the end": b"GET /x HTTP/1.1\r\nHost: a\r\n\n",
    "bare CR after the request line": b"GET /x HTTP/1.1\r" + HOST,
    "bare CR in a value": field(b"X: a\rY: b"),
    "CR CR LF": field(b"X: a\r"),
    "NUL in a value": field(b"X: a\x00b"),
    "NUL in a name": field(b"X\x00: a"),
    "NUL in the target": line(b"GET /x\x00 HTTP/1.1"),
    "DEL in a value": field(b"X: \x7f"),
    "escape in a value": field(b"X: \x1b[2J"),
    "backspace in a value": field(b"X: \x08"),
    "obs-fold by space": field(b"X: a\r\n b"),
    "obs-fold by tab": field(b"X: a\r\n\tb"),
    "obs-fold of Host": line(b"GET /x HTTP/1.1", b"Host:\r\n a\r\n"),
    "obs-fold of the first field": line(b"GET /x HTTP/1.1", b" X: a\r\nHost: a\r\n"),
    "line of blanks": field(b"  "),
    # Field names.
    "space before the colon": field(b"X : a"),
    "tab before the colon": field(b"X\t: a"),
    "no colon": field(b"X"),
    "no name": field(b": a"),
    "space in the name": field(b"X Y: a"),
    "at in the name": field(b"X@Y: a"),
    "slash in the name": field(b"X/Y: a"),
    "bracket in the name": field(b"X[Y]: a"),
    "quote in the name": field(b'"X": a'),
    "latin letter in the name": field(b"X\xe9: a"),
    "UTF-8 in the name": field("X\u2010Y: a".encode()),
    "host in underscores": line(b"GET /x HTTP/1.1", b"Host: a\r\nContent_Length: 0\r\n"),
    # The request line.
    "two spaces": line(b"GET  /x HTTP/1.1"),
    "tab instead of space": line(b"GET\t/x HTTP/1.1"),
    "space at the start": line(b" GET /x HTTP/1.1"),
    "space at the end": line(b"GET /x HTTP/1.1 "),
    "two spaces before the version": line(b"GET /x  HTTP/1.1"),
    "space in the target": line(b"GET /x y HTTP/1.1"),
    "no target": line(b"GET HTTP/1.1"),
    "no version (0.9)": line(b"GET /x"),
    "method with a colon": line(b"GE:T /x HTTP/1.1"),
    "method too long": line(b"G" * 33 + b" /x HTTP/1.1"),
    "version in lower case": line(b"GET /x http/1.1"),
    "version of two digits": line(b"GET /x HTTP/1.10"),
    "version with a sign": line(b"GET /x HTTP/+1.1"),
    "version with a comma": line(b"GET /x HTTP/1,1"),
    "version with a space": line(b"GET /x HTTP/ 1.1"),
    "version of another protocol": line(b"GET /x RTSP/1.0"),
    "version without a dot": line(b"GET /x HTTP/11"),
    "vertical tab before the version": line(b"GET /x\x0bHTTP/1.1"),
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two empty lines first": b"\r\n\r\n" + line(b"GET /x HTTP/1.1"),
    # The target.
    "target not a path": line(b"GET x HTTP/1.1"),
    "target star of GET": line(b"GET * HTTP/1.1"),
    "target with a fragment": line(b"GET /x#y HTTP/1.1"),
    "target in latin-1": line(b"GET /\xe9 HTTP/1.1"),
    "target authority only": line(b"GET a:80 HTTP/1.1"),
    "target of another scheme": line(b"GET ftp://a/x HTTP/1.1"),
    "target without authority": line(b"GET http:///x HTTP/1.1"),
    "target with user": line(b"GET http://u:p@a/x HTTP/1.1"),
    "target and Host disagree": line(b"GET http://b/x HTTP/1.1"),
    "target and Host disagree in port": line(b"GET http://a:81/x HTTP/1.1"),
    "target and Host disagree in port of the other scheme": line(b"GET http://a:443/x HTTP/1.1"),
    "target and Host disagree in digits": host(b"a:8080", target=b"http://a:80/x"),
    "target with at after the host": line(b"GET http://a@b/x HTTP/1.1"),
    "target with a backslash host": line(b"GET http://a\\b/x HTTP/1.1"),
    "target absolute, two Hosts": host(b"a", b"a", target=b"http://a/x"),
    "target absolute, no Host": line(b"GET http://a/x HTTP/1.1", b""),
    # Host.
    "no Host": line(b"GET /x HTTP/1.1", b"X: a\r\n"),
    "two Hosts": host(b"a", b"b"),
    "two equal Hosts": host(b"a", b"a"),
    "Host empty": host(b""),
    "Host with a path": host(b"a/b"),
    "Host with a query": host(b"a?b"),
    "Host with user": host(b"u@a"),
    "Host with a comma list": host(b"a, b"),
    "Host with a space": host(b"a b"),
    "Host with a bad port": host(b"a:x"),
    "Host with a port too long": host(b"a:123456"),
    "Host with an open bracket": host(b"[::1"),
    "Host in UTF-8": host("\u0430".encode()),
    "Host twice in underscore clothes": line(b"GET /x HTTP/1.1", b"Host : a\r\nHost: a\r\n"),
}

OTHERS = {
    "version 2.0": Case(line(b"GET /x HTTP/2.0"), (505,)),
    "version 0.9": Case(line(b"GET /x HTTP/0.9"), (505,)),
    "version 1.2": Case(line(b"GET /x HTTP/1.2"), (505,)),
    "HTTP/2 preface": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    "CONNECT": Case(line(b"CONNECT a:443 HTTP/1.1"), (501,)),
    "expectation unknown": Case(POST + b"Expect: x\r\nContent-Length: 5\r\n\r\nhello", (417,)),
    "expectation twice": Case(POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", (417,)),
    "target over its limit": Case(line(b"GET /" + b"x" * 2048 + b" HTTP/1.1"), (414,)),
    "target over the limit": Case(line(b"GET /" + b"x" * 17_000 + b" HTTP/1.1"), (431,)),
    "field over the limit": Case(field(b"X: " + b"a" * 17_000), (431,)),
    "name over the limit": Case(field(b"X" * 17_000 + b": a"), (431,)),
    "fields too many": Case(field(b"\r\n".join([b"X: a"] * 101)), (431,)),
    "body announced over the limit": Case(POST + b"Content-Length: 99999999999\r\n\r\nhello", (413,)),
    "empty line first": passes(b"\r\n" + line(b"GET /x HTTP/1.1"), (b"GET /x", b"")),
    "own method": passes(line(b"M-SEARCH /x HTTP/1.1"), (b"M-SEARCH /x", b"")),
    "method in lower case": passes(line(b"get /x HTTP/1.1"), (b"get /x", b"")),
    "star of OPTIONS": passes(line(b"OPTIONS * HTTP/1.1"), (b"OPTIONS *", b"")),
    "absolute target": passes(line(b"GET http://a/x?y=1 HTTP/1.1"), (b"GET /x?y=1", b"")),
    "absolute target, other case": passes(line(b"GET HTTP://A/x HTTP/1.1"), (b"GET /x", b"")),
    "absolute target, no path": passes(line(b"GET http://a HTTP/1.1"), (b"GET /", b"")),
    "absolute target, no path, OPTIONS": passes(line(b"OPTIONS http://a HTTP/1.1"), (b"OPTIONS *", b"")),
    "absolute target, query only": passes(line(b"GET http://a?y HTTP/1.1"), (b"GET /?y", b"")),
    "absolute target, default port": passes(line(b"GET http://a:80/x HTTP/1.1"), (b"GET /x", b"")),
    "absolute target, default port in Host": passes(host(b"a:443", target=b"https://a/x"), (b"GET /x", b"")),
    "double slash stays": passes(line(b"GET //b/x HTTP/1.1"), (b"GET //b/x", b"")),
    "dots stay": passes(line(b"GET /../x/%2e%2E HTTP/1.1"), (b"GET /../x/%2e%2E", b"")),
    "Host with port": passes(host(b"a.example:8080"), (b"GET /x", b"")),
    "Host IPv6": passes(host(b"[::1]:80"), (b"GET /x", b"")),
    "Host without blank": passes(line(b"GET /x HTTP/1.1", b"Host:a\r\n"), (b"GET /x", b"")),
    "Host in capitals": passes(line(b"GET /x HTTP/1.1", b"HOST:\t a \t\r\n"), (b"GET /x", b"")),
    "value empty": passes(field(b"X:"), (b"GET /x", b"")),
    "value in latin-1 and UTF-8": passes(field(b"X: \xe9 \xc3\xa9"), (b"GET /x", b"")),
    "name with all marks": passes(field(b"!#$%&'*+-.^_`|~: a"), (b"GET /x", b"")),
    "100 fields": passes(field(b"\r\n".join([b"X: a"] * 99)), (b"GET /x", b"")),
    "target long": passes(line(b"GET /" + b"x" * 2047 + b" HTTP/1.1"), (b"GET /" + b"x" * 2047, b"")),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", REFUSED)
async def test_odd_heads_reach_no_node(pair: tuple[Recorder, Balancer], name: str, bytewise: bool) -> None:  # noqa: FBT001
    """400, one answer only, nothing at the node."""
    await check(*pair, Case(REFUSED[name]), bytewise=bytewise)


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", OTHERS)
async def test_limits_and_fair_heads(pair: tuple[Recorder, Balancer], name: str, bytewise: bool) -> None:  # noqa: FBT001
    """What is over a limit has a status of its own; what is only unusual passes unchanged."""
    await check(*pair, OTHERS[name], bytewise=bytewise)


async def test_a_head_cut_short_reaches_no_node(pair: tuple[Recorder, Balancer]) -> None:
    """A client that leaves within its head, at any byte, was never there."""
    recorder, lb = pair
    recorder.clear()
    raw = field(b"X: a")
    for end in range(len(raw) - 1):
        assert await play(lb.port, raw[:end], bytewise=False) == b""
    assert recorder.seen == []


async def test_every_byte_in_a_name_and_a_value(pair: tuple[Recorder, Balancer]) -> None:
    """Of all 256 bytes only RFC 9110's token characters make a name, and no control byte but the tab a value."""
    recorder, lb = pair
    recorder.clear()
    token = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for byte in (bytes([n]) for n in range(256)):
        name = statuses(await play(lb.port, field(b"X" + byte + b"Y: a"), bytewise=False))
        value = statuses(await play(lb.port, field(b"X: a" + byte + b"b"), bytewise=False))
        assert name == ((200,) if byte in token or byte == b":" else (400,)), byte
        assert value == ((200,) if byte == b"\t" or (byte >= b" " and byte != b"\x7f") else (400,)), byte
    assert GARBAGE not in recorder.seen
