"""Paths that name the node to ask: `/v1/uploads/{hint}.{rest}`, where the hint is a hash of a member's id.

A service that keeps something in one node's memory, for example half an upload, hands out such paths. The consistent
hash finds the node only while the membership stays as it was; the hint finds it afterwards too. A hint is no secret and
proves nothing: the node decides what its path means. Pure.
"""

import re
from hashlib import blake2b

_PATTERN = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/\*(?:/[A-Za-z0-9._~-]+)*")


def hint(name: str) -> bytes:
    """The hint of a member's id: BLAKE2b (RFC 7693) with a digest of 8 bytes, in lower-case hex digits."""
    return blake2b(name.encode(), digest_size=8).hexdigest().encode()


class HolderPath:
    """The pattern of such paths, in which `*` is the segment with the hint; empty = none. Raises ValueError.

    `starts` is for `bytes.startswith`: what does not begin so is no such path.
    """

    def __init__(self, pattern: str) -> None:
        if pattern and not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a path with one segment `*`, for example /v1/uploads/*")
        start, _, end = pattern.encode().partition(b"*")
        self.starts = (start,) if pattern else ()
        self._match = re.compile(rb"%b([0-9a-f]{16})\.[^/?]*+%b(?=[/?]|\Z)" % (re.escape(start), re.escape(end))).match

    def hint(self, target: bytes) -> bytes:
        """The hint in a request target that starts so; empty when there is none."""
        found = self._match(target)
        return found[1] if found else b""
