"""Where a body ends: every doubt about its framing is refused, and the node behind sees exactly what was meant."""

import pytest

from tests.e2e.http.recorder import LAST, POST, SMUGGLED, Case, Recorder, check, passes
from tests.e2e.test_lb_harness import Balancer

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
SEEN = b"POST /x"


def length(value: bytes, body: bytes = b"hello") -> bytes:
    """A POST with this Content-Length."""
    return POST + b"Content-Length:" + value + b"\r\n\r\n" + body


def coding(value: bytes, rest: bytes = b"") -> bytes:
    """A POST with this Transfer-Encoding."""
    return POST + b"Transfer-Encoding:" + value + b"\r\n" + rest + b"\r\n" + END


REFUSED = {
    # Two framings.
    "CL.TE": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + SMUGGLED + END,
    "CL.TE equal": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "CL.TE in other cases": POST + b"CONTENT-LENGTH: 5\r\ntransfer-ENCODING: Chunked\r\n\r\n" + END,
    "CL.TE identity": POST + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "TE.TE": coding(b" chunked", b"Transfer-Encoding: x\r\n"),
    "TE.TE first": coding(b" x", b"Transfer-Encoding: chunked\r\n"),
    "TE.TE same": coding(b" chunked", b"Transfer-Encoding: chunked\r\n"),
    # Content-Length.
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "length list": length(b" 5, 5"),
    "length list apart": length(b" 5,0"),
    "length plus": length(b" +5"),
    "length minus": length(b" -5"),
    "length minus zero": length(b" -0", b""),
    "length hex": length(b" 0x5"),
    "length octal": length(b" 0o5"),
    "length underscore": length(b" 1_0"),
    "length inner space": length(b" 5 5"),
    "length fraction": length(b" 5.0"),
    "length exponent": length(b" 5e0"),
    "length empty": length(b""),
    "length blank": length(b"  "),
    "length quoted": length(b' "5"'),
    "length letter after": length(b" 5a"),
    "length comma after": length(b" 5,"),
    "length semicolon": length(b" 5;"),
    "length over 2^64": length(b" 18446744073709551621"),
    "length huge": length(b" " + b"9" * 400),
    "length arabic digit": length(" \u0665".encode()),
    "length fullwidth digit": length(" \uff15".encode()),
    "length latin superscript": length(b" \xb2"),
    "length vertical tab": length(b" \x0b5"),
    "length form feed": length(b" \x0c5"),
    "length nbsp": length(b"\xa05"),
    "length NUL": length(b" 5\x00"),
    "length bare CR": length(b" 5\r"),
    # Transfer-Encoding.
    "coding unknown": coding(b" xchunked"),
    "coding prefix": coding(b" chunkedx"),
    "coding twice": coding(b" chunked, chunked"),
    "coding gzip, chunked": coding(b" gzip, chunked"),
    "coding chunked, identity": coding(b" chunked, identity"),
    "coding identity": coding(b" identity"),
    "coding empty": coding(b""),
    "coding comma": coding(b" ,chunked"),
    "coding comma after": coding(b" chunked,"),
    "coding parameter": coding(b" chunked;q=1"),
    "coding quoted": coding(b' "chunked"'),
    "coding vertical tab": coding(b" \x0bchunked"),
    "coding form feed after": coding(b" chunked\x0c"),
    "coding NUL after": coding(b" chunked\x00"),
    "coding long s": coding(" chun\u212aed".encode()),
    "coding on a folded line": coding(b"\r\n chunked"),
    "coding after a fold": coding(b" x\r\n chunked"),
    "coding name with space": POST + b"Transfer-Encoding : chunked\r\n\r\n" + END,
    "coding name with tab": POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + END,
    "coding name after space": POST + b" Transfer-Encoding: chunked\r\n\r\n" + END,
    "coding name with NUL": POST + b"Transfer-Encoding\x00: chunked\r\n\r\n" + END,
    "coding name with bare CR": POST + b"\rTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding after a bare LF": POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding after a bare CR": POST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding in HTTP/1.0": b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding and keep-alive in 1.0": b"POST /x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    + END,
    # Names that CGI-like servers read as the real ones.
    "length underscore name": POST + b"Content_Length: 5\r\n\r\nhello",
    "coding underscore name": POST + b"Transfer_Encoding: chunked\r\n\r\n" + END,
}

BAD_CHUNKS = {
    "size 0x": b"0x5\r\nhello\r\n" + END,
    "size plus": b"+5\r\nhello\r\n" + END,
    "size minus": b"-5\r\nhello\r\n" + END,
    "size underscore": b"0_5\r\nhello\r\n" + END,
    "size space before": b" 5\r\nhello\r\n" + END,
    "size tab after": b"5\t\r\nhello\r\n" + END,
    "size space after": b"5 \r\nhello\r\n" + END,
    "size empty": b"\r\nhello\r\n" + END,
    "size letter": b"g\r\nhello\r\n" + END,
    "size quoted": b'"5"\r\nhello\r\n' + END,
    "size comma": b"5,5\r\nhello\r\n" + END,
    "size over 2^64": b"10000000000000005\r\nhello\r\n" + END,
    "size of 2^63": b"8000000000000000\r\nhello\r\n" + END,
    "size of -1": b"ffffffffffffffff\r\nhello\r\n" + END,
    "size of many zeros": b"0" * 300 + b"5\r\nhello\r\n" + END,
    "size line bare LF": b"5\nhello\r\n" + END,
    "size line bare CR": b"5\rhello\r\n" + END,
    "size line CR CR LF": b"5\r\r\nhello\r\n" + END,
    "size line NUL": b"5\x00\r\nhello\r\n" + END,
    "size in UTF-8": "\u0665\r\nhello\r\n".encode() + END,
    "payload ends with LF": b"5\r\nhello\n" + END,
    "payload ends with CR": b"5\r\nhello\r" + END,
    "payload too long": b"5\r\nhelloX\r\n" + END,
    "payload too short": b"6\r\nhello\r\n" + END,
    "payload without end": b"5\r\nhello5\r\nhello\r\n" + END,
    "extension with LF": b"5;a\nb\r\nhello\r\n" + END,
    "extension with CR": b"5;a\rb\r\nhello\r\n" + END,
    "extension with NUL": b"5;a\x00b\r\nhello\r\n" + END,
    "extension too long": b"5;" + b"a" * 300 + b"\r\nhello\r\n" + END,
    "extension in last chunk with LF": b"0;a\n\r\n\r\n",
    "last chunk bare LF": b"5\r\nhello\r\n0\n\n",
    "last chunk LF end": b"5\r\nhello\r\n0\r\n\n",
    "trailer with LF": b"0\r\nX: a\n\r\n",
    "trailer with bare CR": b"0\r\nX: a\rb\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \x00\r\n\r\n",
    "trailer folded": b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer space before colon": b"0\r\nX : a\r\n\r\n",
    "trailer no colon": b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "trailer too long": b"0\r\n" + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "trailers too many": b"0\r\n" + b"X: aaaaaaa\r\n" * 900 + b"\r\n",
    "end with junk": b"0\r\nX",
}

PASSED = {
    "length": passes(length(b" 5"), (SEEN, b"hello")),
    "length no space": passes(length(b"5"), (SEEN, b"hello")),
    "length tab": passes(length(b"\t5 \t"), (SEEN, b"hello")),
    "length zeros": passes(length(b" 0005"), (SEEN, b"hello")),
    "length zero": passes(length(b" 0", b""), (SEEN, b"")),
    "length with the next head in the body": passes(length(b" %d" % len(LAST), LAST), (SEEN, LAST)),
    "GET with a body": passes(b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", (b"GET /x", b"hello")),
    "chunked": passes(CHUNKED + b"5\r\nhello\r\n" + END, (SEEN, b"hello")),
    "chunked empty": passes(CHUNKED + END, (SEEN, b"")),
    "chunked in two": passes(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n" + END, (SEEN, b"hello")),
    "chunked in upper case": passes(coding(b" CHUNKED"), (SEEN, b"")),
    "coding tab": passes(coding(b"\tchunked\t "), (SEEN, b"")),
    "size upper case": passes(CHUNKED + b"A\r\n0123456789\r\n" + END, (SEEN, b"0123456789")),
    "size with zeros": passes(CHUNKED + b"0005\r\nhello\r\n00000\r\n\r\n", (SEEN, b"hello")),
    "extension": passes(CHUNKED + b"5;a=b\r\nhello\r\n" + END, (SEEN, b"hello")),
    "extension after blanks": passes(CHUNKED + b'5 \t; a="b;c"\r\nhello\r\n0;x\r\n\r\n', (SEEN, b"hello")),
    "trailer": passes(CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 99\r\nX: 1\r\n\r\n", (SEEN, b"hello")),
    "payload like an end": passes(CHUNKED + b"5\r\n0\r\n\r\n\r\n" + END, (SEEN, END)),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", REFUSED)
async def test_doubtful_framing_reaches_no_node(pair: tuple[Recorder, Balancer], name: str, bytewise: bool) -> None:  # noqa: FBT001
    """400, nothing more on the connection, and nothing at all at the node."""
    await check(*pair, Case(REFUSED[name]), bytewise=bytewise)


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
async def test_broken_chunks_never_complete(pair: tuple[Recorder, Balancer], name: str, bytewise: bool) -> None:  # noqa: FBT001
    """400, and the node never sees the end of the request, so it cannot act on it, nor a second one."""
    recorder, lb = pair
    await check(recorder, lb, Case(CHUNKED + BAD_CHUNKS[name]), bytewise=bytewise)


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", PASSED)
async def test_sound_framing_arrives_as_it_was_meant(
    pair: tuple[Recorder, Balancer],
    name: str,
    bytewise: bool,  # noqa: FBT001
) -> None:
    """The node sees the body, framed anew, and the next request after it."""
    await check(*pair, PASSED[name], bytewise=bytewise)
