"""The balancer's word is believed from trusted peers, in good form only."""

import time
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ingest.peers import WARN_S, Arrival, Peers, networks


def arrival(remote: str, **headers: str) -> Arrival:
    """What a request from this address says."""
    request = make_mocked_request("GET", "/", headers={name.replace("_", "-"): one for name, one in headers.items()})
    return Peers(networks("127.0.0.0/8, ::1/128")).arrival(request.clone(remote=remote))


def test_a_trusted_peers_word_counts() -> None:
    """Time and request id are taken over."""
    said = arrival("127.0.0.9", Snapsurge_Received_At="1700000000123", X_Request_Id="abc-1")
    again = arrival("127.0.0.9", Snapsurge_Received_At="1700000000123", X_Request_Id="abc-1", Snapsurge_Retry="1")

    assert said == Arrival(1_700_000_000_123, "abc-1")
    assert again == Arrival(1_700_000_000_123, "abc-1", retry=True)
    assert not arrival("10.0.0.1", Snapsurge_Retry="1").retry
    assert not arrival("127.0.0.9", Snapsurge_Retry="yes").retry


TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_a_trace_is_continued_for_a_trusted_peer_alone() -> None:
    """In the one form that W3C Trace Context has; anybody else cannot make us send spans."""
    assert arrival("127.0.0.9", Traceparent=TRACE).trace == TRACE
    assert arrival("10.0.0.1", Traceparent=TRACE).trace == ""
    for bad in (
        TRACE.upper(),
        TRACE[:-1],
        f"01{TRACE[2:]}",
        f"00-{'0' * 32}-{'cd' * 8}-01",
        f"00-{'ab' * 16}-{'0' * 16}-01",
    ):
        assert arrival("127.0.0.9", Traceparent=bad).trace == ""


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

    assert Peers(networks("127.0.0.0/8")).client(request) == client


def test_a_bad_cidr_is_an_error() -> None:
    """At start, not at the first request."""
    with pytest.raises(ValueError, match="300"):
        networks("127.0.0.0/8,300.0.0.0/8")


def test_a_balancer_that_is_not_believed_is_told_of_loudly_and_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """Who it is, what it lacks, what follows and what to do: once a minute, with the number; each one is counted."""
    at, counted = [0.0], []
    peers = Peers((), [b"x" * 16], ignored=lambda: counted.append(1), monotonic=lambda: at[0])
    for second in (0, 1, WARN_S - 1, WARN_S):
        at[0] = second
        for fields in ({"Snapsurge-Received-At": "1700000000123"}, {}):
            peers.arrival(make_mocked_request("GET", "/", headers=fields).clone(remote="100.64.0.9"))
    at[0] = 3 * WARN_S
    stamped = {"Snapsurge-Received-At": "1700000000123", "Snapsurge-Stamp": "00"}
    peers.arrival(make_mocked_request("GET", "/", headers=stamped).clone(remote="100.64.0.9"))

    said = [record.getMessage() for record in caplog.records]
    assert [one.split(" requests")[0] for one in said] == ["1", "3", "1"]
    assert all("100.64.0.9" in one and "SNAPSURGE_LB_STAMP_SECRET" in one for one in said)
    assert ["no stamp" in one for one in said] == [True, True, False]
    assert "of another secret" in said[2]
    assert len(counted) == 5


class Raw(dict[Any, Any]):
    """A request with whatever bytes in its fields; aiohttp's own fake would have to encode them."""

    transport = None

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__()
        self.headers = CIMultiDict(fields)
        self.remote = "100.64.0.9"


@pytest.mark.parametrize("stamp", ["", "\udcff\udcfe", "\u00e9", "0" * 32, "0" * 8000])
def test_nonsense_for_a_stamp_is_not_believed(stamp: str) -> None:
    """Whatever bytes it has, and whatever those that it should cover have."""
    fields = {"Snapsurge-Received-At": "1700000000123", "Snapsurge-Stamp": stamp, "X-Request-Id": "\udcff"}
    request = cast(web.BaseRequest, Raw(fields))

    assert Peers((), [b"x" * 16]).arrival(request).received_at_ms > 1_700_000_000_123
