"""Stamps: what a balancer writes is what a node believes, from any network; and nothing else is believed."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.config import STAMP_SECRET_BYTES_MIN
from ingest.peers import Arrival, Peers
from lb.config import SECRET_BYTES_MIN
from lb.http1.forward import request_head
from lb.http1.head import find_request
from lb.http1.origin import Origin
from lb.http1.stamps import Stamper

NEW, OLD, FOREIGN = b"the-new-secret-of-16", b"the-old-secret-of-16", b"a-foreign-secret-16b"
AT, TRIED = 1_700_000_000_123, 1_700_000_009_999
ORIGIN = Origin(b"203.0.113.9", b"198.51.100.1, 203.0.113.9")
RETRY = ORIGIN.retried(AT, TRIED, 0)
# A phone's head that the balancer copies as it is, and one that it writes anew.
ORDINARY = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
STRICT = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\nSnapsurge-Retry: 1\r\nSnapsurge-Stamp: 00\r\n"


def sent(raw: bytes, origin: Origin, *secrets: bytes) -> dict[str, str]:
    """The fields that a node gets from a balancer with these secrets; each of them stands once."""
    found = find_request(raw + b"\r\n", 16384)
    assert found
    head = found[0]
    stamp = Stamper(secrets).line(origin, AT, b"an-id")
    lines = request_head(head, origin, AT, b"an-id", stamp).decode().split("\r\n")[1:-2]
    fields = [tuple(line.split(": ", 1)) for line in lines]
    assert len({name.lower() for name, _ in fields}) == len(fields)
    return dict(fields)  # type: ignore[arg-type] # pairs


def request(fields: dict[str, str], remote: str = "100.64.3.2") -> web.BaseRequest:
    """A request from an address that no default trusts."""
    return make_mocked_request("POST", "/x", headers=fields).clone(remote=remote)


# A ticket makes a head no ordinary one.
@pytest.mark.parametrize(("raw", "origin"), [(ORDINARY, ORIGIN), (STRICT, ORIGIN), (STRICT, RETRY)])
@pytest.mark.parametrize("known", [(NEW,), (NEW, OLD), (OLD, NEW)])
def test_a_node_believes_a_stamp(raw: bytes, origin: Origin, known: tuple[bytes, ...]) -> None:
    """Of each of its secrets, so that balancers and nodes can change theirs one after the other."""
    peers, said = Peers((), known), request(sent(raw, origin, NEW, FOREIGN))

    assert peers.arrival(said) == Arrival(AT, "an-id", origin.retry, origin.tried_ms)
    assert peers.client(said) == "203.0.113.9"
    assert peers.sent_at(said) == AT / 1000


@pytest.mark.parametrize("name", ["Snapsurge-Received-At", "Snapsurge-Tried-At", "Snapsurge-Retry", "X-Request-Id",
                                  "X-Forwarded-For", "Snapsurge-Stamp"])  # fmt: skip
def test_a_changed_field_is_not_believed(name: str) -> None:
    """Whichever it is, changed, removed or added."""
    peers = Peers((), [NEW])
    for origin in (ORIGIN, RETRY):
        fields = sent(STRICT, origin, NEW)
        others = [{**fields, name: "1700000000001"}]
        if name in fields:
            others.append({one: value for one, value in fields.items() if one != name})
        for other in others:
            found = peers.arrival(request(other))
            assert (found.received_at_ms == AT, found.request_id == "an-id", found.retry) == (False, False, False)
            assert peers.client(request(other)) == "100.64.3.2"


@pytest.mark.parametrize("secrets", [(), (FOREIGN,), (FOREIGN, NEW)])
def test_no_stamp_and_a_foreign_one_are_not_believed(secrets: tuple[bytes, ...]) -> None:
    """Only the first of a balancer's secrets stamps."""
    assert Peers((), [NEW, OLD]).arrival(request(sent(ORDINARY, ORIGIN, *secrets))).received_at_ms != AT


def test_a_stamp_is_nothing_to_a_node_without_a_secret() -> None:
    """Not even that of an empty one."""
    assert Peers(()).arrival(request(sent(ORDINARY, ORIGIN, b"x"))).received_at_ms != AT


def test_both_sides_have_the_same_limit() -> None:
    """A secret that one accepts the other accepts."""
    assert STAMP_SECRET_BYTES_MIN == SECRET_BYTES_MIN
