"""The balancer's word is believed from trusted peers, in good form only."""

import time

import pytest
from aiohttp.test_utils import make_mocked_request

from ingest.peers import Arrival, arrival_of, client_of, networks


def arrival(remote: str, **headers: str) -> Arrival:
    """What a request from this address says."""
    request = make_mocked_request("GET", "/", headers={name.replace("_", "-"): one for name, one in headers.items()})
    return arrival_of(request.clone(remote=remote), networks("127.0.0.0/8, ::1/128"))


def test_a_trusted_peers_word_counts() -> None:
    """Time and request id are taken over."""
    said = arrival("127.0.0.9", Snapsurge_Received_At="1700000000123", X_Request_Id="abc-1")
    again = arrival("127.0.0.9", Snapsurge_Received_At="1700000000123", X_Request_Id="abc-1", Snapsurge_Retry="1")

    assert said == Arrival(1_700_000_000_123, "abc-1")
    assert again == Arrival(1_700_000_000_123, "abc-1", retry=True)
    assert not arrival("10.0.0.1", Snapsurge_Retry="1").retry
    assert not arrival("127.0.0.9", Snapsurge_Retry="yes").retry


@pytest.mark.parametrize("remote", ["10.0.0.1", "2001:db8::1", "", "not an address"])
def test_anybody_elses_is_ignored(remote: str) -> None:
    """Our own clock, and a new id."""
    before = time.time_ns() // 1_000_000
    made = arrival(remote, Snapsurge_Received_At="1700000000123", X_Request_Id="abc-1")

    assert made.received_at_ms >= before
    assert made.request_id != "abc-1"


@pytest.mark.parametrize("value", ["", "-1", "12", "1700000000123 ", "17e11", "x" * 13])
def test_a_malformed_time_is_ignored(value: str) -> None:
    """Digits of a plausible length or nothing."""
    assert arrival("127.0.0.1", Snapsurge_Received_At=value).received_at_ms > 1_700_000_000_123


def test_a_strange_request_id_is_replaced() -> None:
    """Ids go into logs: a bounded alphabet and length."""
    assert len(arrival("::1", X_Request_Id="x" * 129).request_id) == 32
    assert arrival("::1", X_Request_Id="a b").request_id != "a b"


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 127.0.0.1,127.0.0.2", "203.0.113.9"),
        ("127.0.0.1", "127.0.0.3, 127.0.0.2", "127.0.0.3"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "no address", "no address"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
    ],
)
def test_a_client_is_the_last_address_that_is_no_balancers(remote: str, forwarded: str, client: str) -> None:
    """Behind a cache and a balancer the viewer, not the cache; what a stranger says does not count."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)

    assert client_of(request, networks("127.0.0.0/8")) == client


def test_a_bad_cidr_is_an_error() -> None:
    """At start, not at the first request."""
    with pytest.raises(ValueError, match="300"):
        networks("127.0.0.0/8,300.0.0.0/8")
