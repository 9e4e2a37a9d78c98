"""lb.http1.keys: what places a request."""

import base64
import json
import tracemalloc

import pytest

from lb.http1.head import RequestHead, parse_request
from lb.http1.keys import CACHED_BYTES_MAX, keyer, keys, subject


def request(*fields: bytes) -> RequestHead:
    """A request with these fields."""
    return parse_request(b"\r\n".join([b"GET /p?q HTTP/1.1", b"Host: h", *fields, b""]))


def bearer(claims: object) -> bytes:
    """An Authorization value, signature unchecked."""
    return b"Bearer e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=") + b".sig"


def test_the_subject_is_read_without_checking() -> None:
    """The payload's `sub` counts, the scheme in any case."""
    assert subject(bearer({"sub": "user-ä"})) == "user-ä".encode()
    assert subject(bearer({"sub": "u"}).replace(b"Bearer", b"bearer")) == b"u"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"Basic abc",
        b"Bearer abc",
        b"Bearer a.b.c",
        b"Bearer ..",
        bearer([1]),
        bearer({"sub": 5}),
        b"Bearer a.\xff.c",
        b"Bearer a." + base64.urlsafe_b64encode(b'{"x":' + b"[" * 6000) + b".c",
        b"Bearer a." + base64.urlsafe_b64encode(rb'{"sub":"\ud800"}') + b".c",
    ],
)
def test_no_readable_subject_falls_back_to_the_address(bad: bytes) -> None:
    """Whatever stands in the field, the address takes over."""
    assert subject(bad) == b""
    assert keyer("bearer-sub", cache_max=2)(request(b"Authorization: " + bad), b"10.0.0.1") == b"10.0.0.1"


def test_each_source_gives_its_key() -> None:
    """Subject, address, target and header fields."""
    head = request(b"X-Album: 7", b"Authorization: " + bearer({"sub": "u"}))

    assert keyer("bearer-sub", cache_max=2)(head, b"a") == b"u"
    assert keyer("address", cache_max=2)(head, b"a") == b"a"
    assert keyer("uri", cache_max=2)(head, b"a") == b"/p?q"
    assert keyer("header:x-album", cache_max=2)(head, b"a") == b"7"
    assert keyer("header:Host", cache_max=2)(head, b"a") == b"h"
    assert keyer("header:X-None", cache_max=2)(head, b"a") == b"a"
    assert keyer("header:authorization", cache_max=2)(head, b"a").startswith(b"Bearer ")


def asking(method: bytes, target: bytes) -> RequestHead:
    """A request with a token for this target."""
    token = b"Authorization: " + bearer({"sub": "u"})
    return parse_request(b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: h", token, b""]))


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (b"/albums/7", b"/albums/7"),
        (b"/albums/7?a=1", b"/albums/7"),
        (b"/albums/7/photos/1?a=1", b"/albums/7"),
        (b"/albums/8/photos/1", b"/albums/8"),
        (b"/albums", b"a"),
        (b"/albums/", b"a"),
        (b"/albums//7", b"a"),
        (b"/x/albums/7", b"a"),
        (b"/Albums/7", b"a"),
    ],
)
def test_a_path_is_a_key_as_far_as_the_pattern_goes(target: bytes, key: bytes) -> None:
    """What follows, and the query, does not count; what does not match falls back to the address."""
    assert keyer("path:/albums/*", cache_max=2)(asking(b"GET", target), b"a") == key


def test_a_pattern_ends_with_a_segment() -> None:
    """A segment that only begins alike is another one; dots are dots."""
    whole = keyer("path:/albums/a.b", cache_max=2)
    assert whole(asking(b"GET", b"/albums/a.b/c"), b"a") == b"/albums/a.b"
    for other in (b"/albums/a.bc", b"/albums/axb"):
        assert whole(asking(b"GET", other), b"a") == b"a"


def test_reads_may_have_a_key_of_their_own() -> None:
    """GET and HEAD; who sent them is still told. What the pattern does not match, and all else, goes by --hash-on."""
    both = keys("bearer-sub", "path:/albums/*", cache_max=2)

    for method in (b"GET", b"HEAD"):
        assert both(asking(method, b"/albums/7/x"), b"a") == (b"u", b"/albums/7")
        user, key = both(asking(method, b"/moments"), b"a")
        assert user is key
    token = b"Authorization: " + bearer({"sub": "somebody"}) + b"a" * 600
    long = parse_request(b"\r\n".join([b"GET /moments HTTP/1.1", b"Host: h", token, b""]))
    user, key = both(long, b"a")
    assert user is key  # decoded once, although such a token is not cached
    for method in (b"POST", b"DELETE", b"get", b"OPTIONS"):
        user, key = both(asking(method, b"/albums/7"), b"a")
        assert key is user
        assert user == b"u"
    one, other = keys("bearer-sub", "", cache_max=2)(asking(b"GET", b"/albums/7"), b"a")
    assert one is other
    assert keys("bearer-sub", "uri", cache_max=2)(asking(b"GET", b"/b?c"), b"a") == (b"u", b"/b?c")


@pytest.mark.parametrize(
    "hash_on", ["", "cookie", "header:", "header: a", "path:", "path:/", "path:a", "path:/a/", "path:/a?b", "path:/a*"]
)
def test_unknown_sources_are_refused(hash_on: str) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match="--hash-on"):
        keyer(hash_on, cache_max=1)
    if hash_on:
        with pytest.raises(ValueError, match="--hash-on"):
            keys("address", hash_on, cache_max=1)


def test_long_tokens_take_no_memory() -> None:
    """What is kept is bounded in bytes, whatever clients send: a token up to the limit is kept, a longer one is not."""
    kept_max = 1024

    def kept(length: int) -> float:
        key, count = keyer("bearer-sub", cache_max=256), 512
        start = bearer({"sub": "u"})
        heads = (request(b"Authorization: " + start + b"%x" % n * 4 + b"a" * length) for n in range(count))
        tracemalloc.start()
        try:
            for head in heads:
                assert key(head, b"10.0.0.1") == b"u"
            return tracemalloc.get_traced_memory()[0] / 256
        finally:
            tracemalloc.stop()

    assert 300 < kept(CACHED_BYTES_MAX - 60) < kept_max
    for length in (CACHED_BYTES_MAX, 15_000):
        assert kept(length) < kept_max / 4
