"""lb.http1.tickets: good for the request it was given for, inside its life, at every balancer; and for no other."""

import base64
import hmac
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.head import RequestHead, parse_request, parse_response
from lb.http1.tickets import AGE_MS_MAX, AHEAD_MS_MAX, LIFE_MS, Tickets, Verdict, split_ticket, with_ticket

NOW = 1_800_000_000_000
SECRET, OTHER = b"0123456789abcdef", b"fedcba9876543210"
STEP_MS = 256  # of an expiry
DIGEST = b"Content-Digest: sha-256=:%bYWI=:" % (b"YWJj" * 10)


def bearer(user: str) -> bytes:
    """A token of this user; nobody looks at its signature here."""
    payload = base64.urlsafe_b64encode(json.dumps({"sub": user}).encode()).rstrip(b"=")
    return b"Authorization: Bearer e30." + payload + b".c2ln"


def upload(
    user: str = "ann",
    target: bytes = b"/v1/moments/m/posts",
    length: int = 700_000,
    *more: bytes,
    method: bytes = b"POST",
) -> RequestHead:
    """The head of an upload."""
    lines = (b"Host: a", bearer(user), b"Content-Length: %d" % length, *more)
    return parse_request(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"\r\n".join(lines)))


def posted(target: bytes, *lines: bytes) -> RequestHead:
    """The head of a POST with these lines."""
    return parse_request(b"POST %b HTTP/1.1\r\n%b\r\n" % (target, b"\r\n".join(lines)))


TICKETS = Tickets([SECRET])
TICKET = TICKETS.give(upload(), NOW, NOW + 50)
HONOURED = Verdict("honoured", NOW)


def test_the_retry_of_the_same_request_keeps_the_first_time() -> None:
    """It is short text, and a renewed token of the same user or other fields do not matter."""
    assert len(TICKET) == 44
    assert TICKETS.read(upload(), TICKET, NOW + 5_000) == HONOURED
    assert TICKETS.read(upload("ann", b"/v1/moments/m/posts", 700_000, b"X-Try: 2"), TICKET, NOW) == HONOURED


@pytest.mark.parametrize(
    "head",
    [
        upload("bob"),
        upload(target=b"/v1/moments/n/posts"),
        upload(target=b"/v1/moments/m/posts?x"),
        upload(length=700_001),
        upload("ann", b"/v1/moments/m/posts", 700_000, DIGEST),
        upload(method=b"PUT"),
        parse_request(b"POST /v1/moments/m/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n"),
    ],
)
def test_another_request_has_no_use_for_it(head: RequestHead) -> None:
    """Another user, moment, query, length, digest or method, or nobody."""
    assert TICKETS.read(head, TICKET, NOW) == Verdict("foreign")


def test_a_renewed_token_of_the_same_user_keeps_it() -> None:
    """The subject is bound, not the token; where there is none to read, what was sent in its place is."""
    renewed = (b"Host: a", bearer("ann") + b"newsignature", b"Content-Length: 700000")
    assert TICKETS.read(posted(b"/v1/moments/m/posts", *renewed), TICKET, NOW) == HONOURED

    mine, other = (posted(b"/", b"Host: a", b"Authorization: Basic " + text) for text in (b"YTpi", b"Yzpk"))
    ticket = TICKETS.give(mine, NOW, NOW)
    assert TICKETS.read(mine, ticket, NOW) == HONOURED
    assert TICKETS.read(other, ticket, NOW) == Verdict("foreign")


def test_what_is_bound_is_bound_part_by_part() -> None:
    """A target that ends as another's length begins, a user that ends as another's target begins."""
    for one, other in (
        (upload(target=b"/x?1", length=5), upload(target=b"/x?", length=15)),
        (upload("ann/x", b"/y"), upload("ann", b"/x/y")),
    ):
        assert TICKETS.read(other, TICKETS.give(one, NOW, NOW), NOW) == Verdict("foreign")


def test_the_digest_is_bound_where_it_was_sent() -> None:
    """The same one is good, another one or none is not."""
    first = upload("ann", b"/", 5, DIGEST)
    ticket = TICKETS.give(first, NOW, NOW)

    assert TICKETS.read(first, ticket, NOW) == HONOURED
    for other in (upload("ann", b"/", 5, DIGEST.replace(b"YWJj", b"YWJk")), upload("ann", b"/", 5)):
        assert TICKETS.read(other, ticket, NOW).outcome == "foreign"
    assert TICKETS.read(upload("ann", b"/", 5, DIGEST.replace(b"Content-D", b"content-d")), ticket, NOW) == HONOURED


@pytest.mark.parametrize("digest", [b"md5=:YWJj:", b"sha-256=:YWJj:", b"sha-256=", b"x-sha-256=:%b:" % (b"YWJj" * 11)])
def test_a_digest_that_no_node_checks_binds_nothing(digest: bytes) -> None:
    """A chunked request with such a one gets no ticket; with a length it does."""
    chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Digest: " + digest + b"\r\n"
    assert TICKETS.give(parse_request(chunked), NOW, NOW) == b""
    assert TICKETS.give(upload("ann", b"/", 5, b"Content-Digest: " + digest), NOW, NOW)


def test_a_chunked_request_needs_a_digest() -> None:
    """Without length and digest any photos would fit the ticket, so there is none; no body at all has length 0."""
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    digested = parse_request(chunked + DIGEST + b"\r\n")

    assert TICKETS.give(parse_request(chunked), NOW, NOW) == b""
    assert TICKETS.read(parse_request(chunked), TICKET, NOW).outcome == "foreign"
    assert TICKETS.read(digested, TICKETS.give(digested, NOW, NOW), NOW) == HONOURED
    empty = parse_request(b"POST / HTTP/1.1\r\nHost: a\r\n")
    assert TICKETS.read(empty, TICKETS.give(empty, NOW, NOW), NOW) == HONOURED


@given(where=st.integers(0, 43), letter=st.sampled_from(b"ABCdef019-_"))
def test_no_changed_ticket_is_honoured(where: int, letter: int) -> None:
    """Each letter counts, be it of the time, the expiry, the version or the MAC."""
    forged = TICKET[:where] + bytes([letter]) + TICKET[where + 1 :]

    assert (TICKETS.read(upload(), forged, NOW) == HONOURED) is (forged == TICKET)


@given(st.binary(max_size=80))
def test_no_text_at_all_is_an_error(text: bytes) -> None:
    """Whatever a client sends is at worst malformed or foreign."""
    assert TICKETS.read(upload(), text, NOW).outcome in {"malformed", "foreign"}


@given(user=st.text(max_size=20), other=st.text(max_size=20), target=st.sampled_from([b"/a", b"/b"]))
def test_only_its_own_user_and_target_honour_it(user: str, other: str, target: bytes) -> None:
    """Over all kinds of user ids, those with digits and colons among them."""
    ticket = TICKETS.give(upload(user, b"/a"), NOW, NOW)
    honoured = TICKETS.read(upload(other, target), ticket, NOW).outcome == "honoured"

    assert honoured is (bearer(user) == bearer(other) and target == b"/a")


def test_a_ticket_lives_for_ten_minutes() -> None:
    """To the step of its expiry, whose last byte says who refused the request."""
    last = NOW + 50 + LIFE_MS

    assert TICKETS.read(upload(), TICKET, last - STEP_MS) == HONOURED
    assert TICKETS.read(upload(), TICKET, last + 1) == Verdict("expired")
    refused = TICKETS.give(upload(), NOW, NOW + 50, refused=0xFF)
    assert TICKETS.read(upload(), refused, last - STEP_MS).outcome == "honoured"
    assert TICKETS.read(upload(), refused, last + STEP_MS) == Verdict("expired")


@given(refused=st.integers(0, 255), now=st.integers(NOW, NOW + 1000))
def test_a_ticket_says_who_refused_the_request(refused: int, now: int) -> None:
    """At no length; under the MAC; a balancer of the version before reads the same ticket and finds it good."""
    ticket = TICKETS.give(upload(), now, now, refused)
    version, first_ms, expires_ms = struct.unpack(">BQQ", base64.urlsafe_b64decode(ticket)[:17])

    assert TICKETS.read(upload(), ticket, now) == Verdict("honoured", now, refused)
    assert len(ticket) == 44
    assert (version, first_ms) == (1, now)
    assert abs(expires_ms - now - LIFE_MS) <= STEP_MS


def test_a_ticket_of_the_version_before_is_honoured() -> None:
    """Its expiry is to the millisecond, so it names some places by chance; the time is what counts."""
    tickets = Tickets([SECRET])
    times = struct.pack(">BQQ", 1, NOW, NOW + LIFE_MS + 0x2B)
    bound = b"3:ann19:/v1/moments/m/posts6:7000000:"
    mac = hmac.digest(SECRET, times + bound, "sha256")[:16]

    found = tickets.read(upload(), base64.urlsafe_b64encode(times + mac), NOW + 1000)
    assert (found.outcome, found.first_ms) == ("honoured", NOW)


def test_a_further_refusal_renews_it_up_to_a_day() -> None:
    """An outage may be longer than a ticket; the first time stays, and a day after it that is over."""
    renewed = TICKETS.give(upload(), NOW, NOW + LIFE_MS)
    end = NOW + AGE_MS_MAX
    late = TICKETS.give(upload(), NOW, end)

    assert TICKETS.read(upload(), renewed, NOW + 2 * LIFE_MS - STEP_MS) == HONOURED
    assert TICKETS.read(upload(), late, end) == HONOURED
    assert TICKETS.read(upload(), late, end + 1) == Verdict("expired")
    assert TICKETS.give(upload(), NOW, end + 1) == b""


def test_a_clock_that_ran_ahead_gives_no_time_away() -> None:
    """What was signed in our future, beyond what clocks differ by, is not believed."""
    ahead = NOW + AHEAD_MS_MAX
    assert TICKETS.read(upload(), TICKETS.give(upload(), ahead, ahead), NOW) == Verdict("honoured", ahead)
    assert TICKETS.read(upload(), TICKETS.give(upload(), ahead + 1, ahead + 1), NOW) == Verdict("ahead")
    assert TICKETS.read(upload(), TICKETS.give(upload(), NOW, ahead + STEP_MS), NOW) == Verdict("ahead")
    assert TICKETS.read(upload(), TICKETS.give(upload(), ahead + 1, NOW), NOW) == Verdict("ahead")


def test_balancers_with_one_secret_honour_each_others_tickets() -> None:
    """Another secret, or none, makes them foreign."""
    assert Tickets([SECRET]).read(upload(), TICKET, NOW) == HONOURED
    assert Tickets([OTHER]).read(upload(), TICKET, NOW) == Verdict("foreign")
    assert Tickets([]).read(upload(), TICKET, NOW) == Verdict("foreign")
    assert Tickets([]).give(upload(), NOW, NOW) == b""


def test_secrets_are_rotated_without_losing_a_ticket() -> None:
    """The new one signs, the old one is still accepted, and once it is gone its tickets are foreign."""
    both, new = Tickets([OTHER, SECRET]), Tickets([OTHER])

    assert both.read(upload(), TICKET, NOW) == HONOURED
    assert new.read(upload(), both.give(upload(), NOW, NOW), NOW) == HONOURED
    assert new.read(upload(), TICKET, NOW) == Verdict("foreign")


def test_only_posts_get_tickets() -> None:
    """Nobody is late with anything else."""
    assert TICKETS.give(upload(method=b"PUT"), NOW, NOW) == b""


def test_another_version_is_malformed() -> None:
    """A ticket of a later form is not read as one of ours."""
    raw = bytearray(base64.urlsafe_b64decode(TICKET))
    raw[0] = 2

    assert TICKETS.read(upload(), base64.urlsafe_b64encode(raw), NOW) == Verdict("malformed")


def test_the_ticket_is_parted_from_the_other_claims() -> None:
    """One is taken, none is none, and of several none can be the right one."""
    other = b"X-Forwarded-For: 1.2.3.4"

    assert split_ticket([other]) == ([other], None)
    assert split_ticket([b"SNAPSURGE-Ticket: abc ", other]) == ([other], b"abc")
    assert split_ticket([b"Snapsurge-Ticket: a", b"Snapsurge-Ticket: a"]) == ([], b"")


def test_a_nodes_own_ticket_is_replaced() -> None:
    """Nodes know nothing of tickets; the client sees ours or none."""
    head = parse_response(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nA: 1\r\nsnapsurge-ticket: fake\r\n")

    assert with_ticket(head, b"t").fields == [b"A: 1", b"Snapsurge-Ticket: t"]
    assert with_ticket(head, b"").fields == [b"A: 1"]
