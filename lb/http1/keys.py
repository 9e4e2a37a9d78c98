"""The key by which a request is placed: the token's subject, the client's address, the target or a header field.

Pure: head and address in, bytes out.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from .head import RequestHead

Keyer = Callable[[RequestHead, bytes], bytes]


class Claims(msgspec.Struct):
    """The only claim of a JWT that placement reads."""

    sub: str


# Longer tokens are decoded each time (some 10 us for 15 KB): in the cache a client could fill any amount of memory with
# them. A phone's token (HS256) has 200 to 300 bytes.
CACHED_BYTES_MAX = 512
_CLAIMS = msgspec.json.Decoder(Claims)


def keyer(hash_on: str, *, cache_max: int) -> Keyer:
    """The function for one `--hash-on`; raises ValueError for an unknown one."""
    if hash_on == "bearer-sub":
        return _by_subject(cache_max)
    if hash_on == "address":
        return lambda _, address: address
    if hash_on == "uri":
        return lambda head, _: head.target
    kind, _, name = hash_on.partition(":")
    if kind == "header" and name.isascii() and name.strip() == name != "":
        return _by_header(name.lower().encode())
    raise ValueError(f"--hash-on {hash_on}: use bearer-sub, address, uri or header:NAME")


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
