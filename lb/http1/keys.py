"""The key by which a request is placed: the token's subject, the client's address, the target or a header field.

Reads (GET and HEAD) may have a key of their own, because many users read the same thing and one service may read for
many users: by its token all its reads would go to one node. Who sent a request is a separate answer: failures are
counted by user, and one user can read any number of paths. Pure: head and address in, bytes out.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from .head import RequestHead

Keyer = Callable[[RequestHead, bytes], bytes]
Keys = Callable[[RequestHead, bytes], tuple[bytes, bytes]]
READS = frozenset({b"GET", b"HEAD"})


class Claims(msgspec.Struct):
    """The only claim of a JWT that placement reads."""

    sub: str


# Longer tokens are decoded each time (some 10 us for 15 KB): in the cache a client could fill any amount of memory with
# them. A phone's token (HS256) has 200 to 300 bytes.
CACHED_BYTES_MAX = 512
_CLAIMS = msgspec.json.Decoder(Claims)
_PATTERN = re.compile(r"(?:/(?:\*|[A-Za-z0-9._~-]+))+")


def by_address(_: RequestHead, address: bytes) -> bytes:
    """The client's address as the placement key, for requests without the part that `--hash-on` names."""
    return address


def keyer(hash_on: str, *, cache_max: int, otherwise: Keyer = by_address) -> Keyer:
    """The function for one `--hash-on`; raises ValueError for an unknown one.

    `otherwise` gives the key of a request whose path does not match the pattern of `path:PATTERN`.
    """
    if hash_on == "bearer-sub":
        return _by_subject(cache_max)
    if hash_on == "address":
        return by_address
    if hash_on == "uri":
        return lambda head, _: head.target
    kind, _, name = hash_on.partition(":")
    if kind == "header" and name.isascii() and name.strip() == name != "":
        return _by_header(name.lower().encode())
    if kind == "path" and _PATTERN.fullmatch(name):
        return _by_path(name, otherwise)
    raise ValueError(
        f"--hash-on {hash_on}: use bearer-sub, address, uri, header:NAME or path:PATTERN, for example path:/albums/*"
    )


def keys(hash_on: str, hash_reads_on: str, *, cache_max: int) -> Keys:
    """The function that gives who sent a request and the key that places it; one value for both, except for reads.

    `hash_reads_on` is as `hash_on`, for GET and HEAD; empty = the same for all requests. Raises ValueError.
    """
    user = keyer(hash_on, cache_max=cache_max)
    if not hash_reads_on:

        def same(head: RequestHead, address: bytes) -> tuple[bytes, bytes]:
            key = user(head, address)
            return key, key

        return same
    read = keyer(hash_reads_on, cache_max=cache_max, otherwise=lambda _, __: b"")

    def both(head: RequestHead, address: bytes) -> tuple[bytes, bytes]:
        key = user(head, address)
        return key, (head.method in READS and read(head, address)) or key

    return both


def subject(authorization: bytes) -> bytes:
    """The `sub` of a bearer JWT; empty when there is none."""
    # The signature is not verified: the key only chooses a node, and the node verifies the token.
    scheme, _, token = authorization.partition(b" ")
    parts = token.strip().split(b".", 3)
    if scheme.lower() != b"bearer" or len(parts) != 3:
        return b""
    try:
        return _CLAIMS.decode(base64.urlsafe_b64decode(parts[1] + b"==")).sub.encode()
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError):
        return b""


def _by_subject(cache_max: int) -> Keyer:
    cached = lru_cache(maxsize=cache_max)(subject)

    def key(head: RequestHead, address: bytes) -> bytes:
        # Without a readable token the address is the key, so that bad tokens from one address stay on one node.
        given = head.authorization
        if not given:
            return address
        return (cached(given) if len(given) <= CACHED_BYTES_MAX else subject(given)) or address

    return key


def _by_path(pattern: str, otherwise: Keyer) -> Keyer:
    """The start of the path that matches the pattern, in which `*` is any one segment."""
    segments = re.escape(pattern).replace(r"\*", "[^/?]+").encode()
    match = re.compile(segments + rb"(?=[/?]|\Z)").match

    def key(head: RequestHead, address: bytes) -> bytes:
        found = match(head.target)
        return found[0] if found else otherwise(head, address)

    return key


def _by_header(name: bytes) -> Keyer:
    if name == b"host":
        return lambda head, _: head.host
    if name == b"authorization":
        return lambda head, address: head.authorization or address

    search = re.compile(rb"\r\n%b:([^\r]*)" % re.escape(name), re.IGNORECASE).search

    def key(head: RequestHead, address: bytes) -> bytes:
        if head.ordinary:
            line = search(head.ordinary)
            return line[1].strip() if line else address
        for field in head.fields:
            found, _, value = field.partition(b":")
            if found.lower() == name:
                return value.strip()
        return address

    return key
