"""Stored names: how a moment and a user become one post id, and where its objects lie.

Pure. Post id: 26 characters, lower-case base32 of the first 16 bytes of BLAKE2b(moment id, NUL, user id), then a dash
and the moment id, so that a post is found, or found not to be, by one look. Keys carry a two-hex-digit spread first,
the first byte of that digest, because object stores throttle by prefix.
"""

import hashlib
import re
from base64 import b32encode

SPREADS = tuple(f"{byte:02x}" for byte in range(256))

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"  # base32 (RFC 4648, section 6), in lower case
_DIGEST = re.compile(r"[a-z2-7]{25}[aeimquy4]")
_DIGEST_CHARS = 26
_MOMENT_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOMENT_ID_CHARS_MAX = 80


def post_id(moment_id: str, user_id: str) -> str:
    """The one id a user's post in a moment can have."""
    digest = hashlib.blake2b(f"{moment_id}\0{user_id}".encode()).digest()[:16]
    return f"{b32encode(digest).decode().rstrip('=').lower()}-{moment_id}"


def is_post_id(text: str) -> bool:
    """Whether this can be a post id: 128 bits leave three bits in the last of 26 base32 characters."""
    digest, dash, moment_id = text[:_DIGEST_CHARS], text[_DIGEST_CHARS : _DIGEST_CHARS + 1], moment_of(text)
    return dash == "-" and _DIGEST.fullmatch(digest) is not None and is_moment_id(moment_id)


def moment_of(post_id: str) -> str:
    """The moment that a post belongs to."""
    return post_id[_DIGEST_CHARS + 1 :]


def is_moment_id(text: str) -> bool:
    """Whether this can be a moment id: lower-case words and digits joined by dashes."""
    return len(text) <= MOMENT_ID_CHARS_MAX and _MOMENT_ID.fullmatch(text) is not None


def spread(post_id: str) -> str:
    """The two hex digits that a post's keys begin with."""
    return f"{_DIGITS.index(post_id[0]) << 3 | _DIGITS.index(post_id[1]) >> 2:02x}"


def intake(moment_id: str, post_id: str) -> str:
    """The object whose PUT commits the pair."""
    return f"{spread(post_id)}/intake/{moment_id}/{post_id}.zip"


def media(moment_id: str, post_id: str) -> str:
    """The object with all renditions and the record."""
    return f"{spread(post_id)}/media/{moment_id}/{post_id}.zip"


def intake_prefix(spread: str, moment_id: str) -> str:
    """Where one spread of a moment's intake objects is listed."""
    return f"{spread}/intake/{moment_id}/"


def media_prefix(spread: str, moment_id: str) -> str:
    """Where one spread of a moment's media objects is listed."""
    return f"{spread}/media/{moment_id}/"


MOMENTS_PREFIX = "moments/"


def moment(moment_id: str) -> str:
    """The moment's own object."""
    return f"{MOMENTS_PREFIX}{moment_id}.json"


def name_in(key: str) -> str:
    """The post or moment id that a listed key ends with."""
    return key.rsplit("/", 1)[1].rsplit(".", 1)[0]
