"""lb.http1.origin: what a trusted balancer says counts, nearest untrusted address first."""

from lb.http1.origin import HOPS_MAX, origin
from lb.networks import networks

KNOWN = networks("10.0.0.0/8, ::1/128")


def test_the_first_balancers_word_is_kept() -> None:
    """Times, retry, protocol and host as said; other fields pass as they came, but for the stamp."""
    balancer_fields = [
        b"Snapsurge-Received-At: 1700000000000",
        b"X-Forwarded-For: 6.6.6.6",
        b"x-forwarded-for: 1.2.3.4, 10.0.0.2",
        b"X-Forwarded-Proto: HTTPS",
        b"X-Forwarded-Host: b.example:1",
        b"Snapsurge-Retry: 1",
        b"Snapsurge-Tried-At: 1700000000009",
        b"Snapsurge-Stamp: 00",
        b"X-Forwarded-Port: 80",
    ]
    found = origin(balancer_fields, b"10.0.0.1", b"http", KNOWN)
    assert (found.received_ms, found.proto, found.host) == (1_700_000_000_000, b"https", b"b.example:1")
    assert (found.client, found.forwarded_for) == (b"1.2.3.4", b"6.6.6.6, 1.2.3.4, 10.0.0.2, 10.0.0.1")
    assert (found.retry, found.tried_ms) == (True, 1_700_000_000_009)
    assert found.others == (b"X-Forwarded-Port: 80",)


def test_nonsense_from_a_trusted_peer_is_not_passed_on() -> None:
    """A time that is none, a protocol and a host that could break a head."""
    balancer_fields = [b"Snapsurge-Received-At: -1", b"X-Forwarded-Proto: ftp", b"X-Forwarded-Host: a b"]
    balancer_fields += [b"Snapsurge-Retry: yes", b"Snapsurge-Tried-At: 12"]
    found = origin(balancer_fields, b"10.0.0.1", b"https", KNOWN)
    assert (found.received_ms, found.proto, found.host) == (0, b"https", b"")
    assert (found.retry, found.tried_ms) == (False, 0)
    assert found.client == found.forwarded_for == b"10.0.0.1"


def test_if_all_are_trusted_the_first_is_the_client() -> None:
    """A balancer's own request through another."""
    assert origin([b"X-Forwarded-For: 10.0.0.7, 10.0.0.8"], b"10.0.0.1", b"http", KNOWN).client == b"10.0.0.7"


def test_only_the_nearest_addresses_are_read() -> None:
    """As many as there can be proxies of ours; what stands before them is a client's own writing."""
    near = [b"10.0.0.%d" % number for number in range(HOPS_MAX)]
    balancer_fields = [b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-For: " + b", ".join(near)]
    found = origin(balancer_fields, b"127.0.0.1", b"http", networks("10.0.0.0/8"))

    assert found.forwarded_for == b", ".join([*near, b"127.0.0.1"])
    assert found.client == near[0]
    balancer_fields = [b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-For: " + b", ".join(near[1:])]
    assert origin(balancer_fields, b"127.0.0.1", b"http", networks("10.0.0.0/8")).client == b"6.6.6.6"
