"""lb.http1.tickets: what binds a ticket for an upload that is sent in parts or chunks, before and after a failure."""

import pytest

from lb.http1.head import RequestHead
from lb.http1.tickets import Verdict
from tests.unit.lb.http1.test_tickets import DIGEST, HONOURED, NOW, TICKET, TICKETS, bearer, posted, upload

REPR = DIGEST.replace(b"Content-", b"Repr-")
PART = b"Upload-Complete: ?0"


def early(*lines: bytes) -> bytes:
    """The ticket that goes with a 104 for an upload with these lines."""
    return TICKETS.give(upload("ann", b"/v1/moments/m/posts", 700_000, *lines), NOW, NOW, early=True)


def test_before_anything_failed_a_digest_is_needed() -> None:
    """By the length alone every client could reserve a time; a digest that nobody checks is none."""
    assert early() == early(b"Content-Digest: md5=:YWJj:") == early(b"Repr-Digest: md5=:YWJj:") == b""
    for digest in (DIGEST, REPR):
        again = upload("ann", b"/v1/moments/m/posts", 700_000, digest)
        assert TICKETS.read(again, early(digest), NOW + 5_000) == HONOURED
        assert TICKETS.read(upload(), early(digest), NOW) == Verdict("foreign")


@pytest.mark.parametrize("part", [PART, b"upload-incomplete: ?1", b"Upload-Complete: ?1;a", b"Upload-Complete: no"])
def test_a_part_needs_the_digest_of_the_whole(part: bytes) -> None:
    """Its length and digest say nothing of what follows, in whatever way it says that it is a part."""
    for lines in ((part,), (part, DIGEST)):
        head = upload("ann", b"/v1/moments/m/posts", 0, *lines)
        assert TICKETS.give(head, NOW, NOW) == early(*lines) == b""
        assert TICKETS.read(head, TICKETS.give(upload(length=0), NOW, NOW), NOW) == Verdict("foreign")
    head = upload("ann", b"/v1/moments/m/posts", 700_000, part, REPR)
    assert TICKETS.read(head, early(part, REPR), NOW) == HONOURED
    assert TICKETS.read(head, TICKET, NOW) == Verdict("foreign")


@pytest.mark.parametrize("whole", [b"Upload-Complete: ?1", b"upload-incomplete: ?0"])
def test_a_whole_upload_that_says_so_is_like_any_other(whole: bytes) -> None:
    """By length or digest, with the same binding as without the field."""
    assert TICKETS.read(upload("ann", b"/v1/moments/m/posts", 700_000, whole), TICKET, NOW) == HONOURED
    assert early(whole) == b""
    assert early(whole, DIGEST) == early(DIGEST)


def test_a_digest_of_the_whole_is_bound_where_it_was_sent() -> None:
    """And is not taken for one of the content, nor the other way round."""
    by_repr, by_content = (upload("ann", b"/v1/moments/m/posts", 700_000, digest) for digest in (REPR, DIGEST))
    assert TICKETS.read(by_content, TICKETS.give(by_repr, NOW, NOW), NOW) == Verdict("foreign")
    assert TICKETS.read(by_repr, TICKETS.give(by_content, NOW, NOW), NOW) == Verdict("foreign")
    assert TICKETS.read(by_repr, TICKET, NOW) == Verdict("foreign")


@pytest.mark.parametrize("lines", [(), (b"Upload-Complete: ?1",), (PART,), (PART, b"Upload-Length: 700000")])
def test_a_chunked_upload_needs_a_digest_of_the_whole(lines: tuple[bytes, ...]) -> None:
    """Of the representation, or of the content where that is all of it: the node checks both when the ticket comes."""
    head = posted(b"/", b"Host: a", bearer("ann"), b"Transfer-Encoding: chunked", *lines, REPR)
    assert TICKETS.read(head, TICKETS.give(head, NOW, NOW, early=True), NOW) == HONOURED
    other = posted(
        b"/", b"Host: a", bearer("ann"), b"Transfer-Encoding: chunked", *lines, REPR.replace(b"YWJj", b"YWJk")
    )
    assert TICKETS.read(other, TICKETS.give(head, NOW, NOW), NOW) == Verdict("foreign")
    bare = posted(b"/", b"Host: a", bearer("ann"), b"Transfer-Encoding: chunked", *lines)
    assert TICKETS.give(bare, NOW, NOW, early=True) == b""


def parted(*lines: bytes) -> RequestHead:
    """The head of a part of an upload."""
    return upload("ann", b"/v1/moments/m/posts", 0, PART, *lines)


def test_the_length_of_the_whole_is_bound_of_a_part_that_tells_it() -> None:
    """As the length of a whole body is: after a failure, and never before one."""
    told = parted(b"Upload-Length: 700000")
    ticket = TICKETS.give(told, NOW, NOW)
    assert TICKETS.read(told, ticket, NOW) == HONOURED
    for other in (b"Upload-Length: 700001", b"Upload-Length: 0700000", b"Repr-Digest: md5=:YWJj:"):
        assert TICKETS.read(parted(other), ticket, NOW) == Verdict("foreign")
    assert TICKETS.read(upload(length=0), ticket, NOW) == Verdict("foreign")
    assert TICKETS.give(told, NOW, NOW, early=True) == b""


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"7 0", b"1" * 16, b"7;a"])
def test_a_length_that_no_node_reads_binds_nothing(text: bytes) -> None:
    """Nor do two of them, nor one of a body in chunks, whose end nobody can compare with it beforehand."""
    assert TICKETS.give(parted(b"Upload-Length: " + text), NOW, NOW) == b""
    assert TICKETS.give(parted(b"Upload-Length: 7", b"Upload-Length: 7"), NOW, NOW) == b""
