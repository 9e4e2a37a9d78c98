"""Signed links: URLs of pictures that need no token, so that an `<img>`, an app and a shared cache can use them.

    /v1/posts/{id}/photos/{side}/{size}?exp=<unix s>&sig=<32 characters>

`sig` is base64url of a MAC and of the first 64 bits of the picture's SHA-256. The MAC is HMAC-SHA256 (RFC 2104), cut to
128 bits, over the path, the expiry and those 64 bits: a link is good for one picture, not only for one path. It lives
at most `life_s` seconds and at least half of that.

The first secret signs, all are accepted. Without a secret the links of a post need a token. Pure: time comes in.
"""

import base64
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from .errors import Refusal

Sign = Callable[[str, str], str]

MAC_BYTES: Final = 16
MARK_BYTES: Final = 8  # of the picture's digest
_QUERY = re.compile(rf"exp=([1-9][0-9]{{9}})&sig=([0-9A-Za-z_-]{{{(MAC_BYTES + MARK_BYTES) * 4 // 3}}})")
_ALTERED: Final = "the link is not as it was given; take it from the post's `links` unchanged"


class Link(msgspec.Struct, frozen=True):
    """A good link: its expiry in unix seconds, and the first 64 bits of the picture's SHA-256 in hexadecimal digits."""

    expires_at: int
    mark: str

    def max_age_s(self, now: float) -> int:
        """How long a cache may keep the picture."""
        return max(0, int(self.expires_at - now))


def unsigned(path: str, _sha256: str) -> str:
    """The path alone: it needs a token."""
    return path


class Links:
    """Signs and reads links with these secrets."""

    def __init__(self, secrets: Sequence[bytes], life_s: int) -> None:
        self._secrets = tuple(secrets)
        self._life_s = life_s

    def __bool__(self) -> bool:
        """Whether there are signed links."""
        return bool(self._secrets)

    @property
    def life_s(self) -> int:
        """The longest life of a link, in seconds."""
        return self._life_s

    def signer(self, now: float) -> Sign:
        """A function that makes the link to a picture from its path and its SHA-256 in hexadecimal digits."""
        if not self._secrets:
            return unsigned
        secret, life_s, step_s, now_s = self._secrets[0], self._life_s, self._life_s // 2, int(now)

        def sign(path: str, sha256: str) -> str:
            mark = bytes.fromhex(sha256[: 2 * MARK_BYTES])
            # Rounded, so that every node, page and viewer has the same link for half of its life: one key in a cache.
            # Where that time begins follows from the picture, so that a cache never loses all links at once.
            expires_at = now_s - (now_s - int.from_bytes(mark)) % step_s + life_s
            return f"{path}?{_query(secret, path, expires_at, mark)}"

        return sign

    def read(self, target: str, path: str, now: float) -> Link:
        """The link in this request target, which must lead to `path`; Refusal when it is not good."""
        where, _, query = target.partition("?")
        found = _QUERY.fullmatch(query)
        if found is None or where != path:
            raise Refusal("bad-link", _ALTERED)
        # Cannot fail: every text that the pattern accepts is base64.
        expires_at, mark = int(found[1]), base64.urlsafe_b64decode(found[2])[MAC_BYTES:]
        # The query is compared as text, not only its MAC: one spelling is good, so that nobody makes a cache fetch one
        # picture under many names.
        good = [hmac.compare_digest(query, _query(secret, path, expires_at, mark)) for secret in self._secrets]
        if not any(good):
            raise Refusal("bad-link", _ALTERED)
        if now >= expires_at:
            raise Refusal("link-expired", "get the post again, its `links` are new; or send a token")
        return Link(expires_at, mark.hex())


def _query(secret: bytes, path: str, expires_at: int, mark: bytes) -> str:
    # The name in front keeps these MACs apart from other uses of the secret. The digest: when other photos are posted
    # to the same path, old links do not show them. Not the host: it names nothing that the path does not.
    bound = b"snapsurge-link-1\n%b\n%d\n%b" % (path.encode(), expires_at, mark)
    mac = hmac.digest(secret, bound, "sha256")[:MAC_BYTES]
    return f"exp={expires_at}&sig={base64.urlsafe_b64encode(mac + mark).decode()}"
