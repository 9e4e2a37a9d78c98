"""What is asked of a store, whichever endpoint gets it, and the text of its address and fields. Pure."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote

import msgspec
from isal import isal_zlib

from ..blobs import Buffer
from .answer import Answer

Method = Literal["PUT", "GET", "HEAD", "DELETE"]
_EXPECT: Final = frozenset({"if-match", "if-none-match"})


class Request(msgspec.Struct, frozen=True):
    """What is asked, `now`, and until when it may be silent, both in loop time.

    `key` is empty if it is not about an object. `trial`: it changes only what tests the store, or makes the bucket.
    """

    method: Method
    key: str
    path: str
    fields: Mapping[str, str]
    parts: Sequence[Buffer]
    writes: bool
    now: float
    until: float
    trial: bool = False
    unclear: list[str] = []  # endpoints that may have done what was asked, though their outcome was an error

    @property
    def expects(self) -> str | None:
        """The entity tag of the object that a change may replace, "" for none; None if it has no such condition."""
        if self.method != "PUT" or self.trial or _EXPECT.isdisjoint(self.fields):
            return None
        return self.fields.get("if-match", "")

    def tells_what_is_missing(self, answer: Answer) -> bool:
        """Whether the answer says that something is not there: an object, or what a listing does not list."""
        return answer.status == 404 or (self.method == "GET" and b"<ListBucketResult" in answer.body[:200])


@lru_cache(maxsize=4096)
def quoted(value: str) -> str:
    """Percent-encoded; cached, because a sweep lists the same thousand prefixes again and again."""
    return quote(value, safe="~")


def asked(query: Mapping[str, str] | None) -> str:
    """The query with its question mark; empty without one."""
    return "?" + "&".join(f"{name}={quoted(query[name])}" for name in sorted(query)) if query else ""


def announced(parts: Sequence[Buffer]) -> dict[str, str]:
    """The fields for the length and the sum of these buffers in order."""
    crc = 0
    for part in parts:
        crc = isal_zlib.crc32(part, crc)
    return {
        "content-length": str(sum(map(len, parts))),
        "x-amz-checksum-crc32": b64encode(crc.to_bytes(4, "big")).decode(),
    }
