"""The hot path to S3: one object written, read, checked or deleted, without copies and without botocore.

`put_object` of aioboto3 costs more than everything else that a node does for a pair, and its model of S3 takes more
memory than a thousand uploads. Here a call is a signature (`signing.py`) and a head (`wire.py`) before the caller's
buffers, whose CRC-32 is signed too. The buffers stay unchanged until the call returns, so a retry sends the same bytes.
Retries follow S3's rules for clients: after an answer that asks for it, or a broken connection, with a jittered pause.
"""

import asyncio
import random
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import msgspec
from isal import isal_zlib

from ..blobs import Buffer
from .credentials import Source
from .signing import signed
from .wire import Wires

_ETAG: Final = re.compile(rb"\r\netag:[ \t]*([^\r\n]+)", re.IGNORECASE)
_VERSION: Final = re.compile(rb"\r\nx-amz-version-id:[ \t]*([^\r\n]+)", re.IGNORECASE)
_REGION: Final = re.compile(rb"\r\nx-amz-bucket-region:[ \t]*([^\r\n]+)", re.IGNORECASE)
_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_LATER: Final = {429, 500, 502, 503, 504}
# Codes of a 400 which say that the body was damaged on the way.
_GARBLED: Final = {"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch"}
# The code of a 409 to a conditional PUT that raced with a delete: "on a 409 failure you should retry the upload".
_CROSSED: Final = {"ConditionalRequestConflict"}
_DONE: Final = {200, 204, 206}  # a PUT, GET or HEAD; a DELETE; a range
_PAUSE_S: Final = 0.2  # at most, before the second attempt; doubled before each further one
_PAUSE_S_MAX: Final = 5.0

Method = Literal["PUT", "GET", "HEAD", "DELETE"]


class Answer(msgspec.Struct, frozen=True):
    """The store's answer: HTTP status, the object's bytes if requested, else S3's error code."""

    status: int
    body: bytes = b""
    code: str = ""
    head: bytes = b""

    @property
    def etag(self) -> str:
        """The entity tag with its quotes; S3 derives it from the content or, with some encryption, at random."""
        return _told(_ETAG, self.head)

    @property
    def version(self) -> str:
        """The object's version; empty in a bucket without versioning."""
        return _told(_VERSION, self.head)

    @property
    def region(self) -> str:
        """The region of the bucket, where the store names it: with a redirect to it."""
        return _told(_REGION, self.head)

    @property
    def went_well(self) -> bool:
        """Whether the request succeeded; a store may send 200 before it knows, and then an error as the body."""
        return self.status in _DONE and not self.code

    @property
    def worth_a_retry(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in _LATER or self.code in _GARBLED | _CROSSED or (self.status in _DONE and bool(self.code))


@lru_cache(maxsize=4096)
def _quoted(value: str) -> str:
    """Percent-encoded; cached, because a sweep lists the same thousand prefixes again and again."""
    return quote(value, safe="~")


def _told(field: re.Pattern[bytes], head: bytes) -> str:
    found = field.search(head)
    return found[1].decode("ascii", "replace").strip() if found else ""


class Objects:
    """Calls to one bucket, each signed with the current keys; `ca_file` replaces the system's CAs."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        region: str,
        keys: Source,
        *,
        connections_max: int,
        connect_timeout_s: float,
        read_timeout_s: float,
        attempts_max: int,
        ca_file: str = "",
    ) -> None:
        place = urlsplit(endpoint)
        secure = place.scheme == "https"
        self._host = place.netloc
        self._bucket = bucket
        self._region = region
        self._keys = keys
        self._attempts_max = attempts_max
        self._wires = Wires(
            place.hostname or "",
            place.port or (443 if secure else 80),
            ssl.create_default_context(cafile=ca_file or None) if secure else None,
            connections_max=connections_max,
            connect_timeout_s=connect_timeout_s,
            silence_s=read_timeout_s,
        )

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self._wires.close()

    async def put(self, key: str, parts: Sequence[Buffer], condition: Mapping[str, str]) -> Answer:
        """PUT these buffers in order, with a condition (`if-none-match: *`, `if-match: …`, or none); see `call`."""
        crc = 0
        for part in parts:
            crc = isal_zlib.crc32(part, crc)
        fields = {
            "content-length": str(sum(map(len, parts))),
            "x-amz-checksum-crc32": b64encode(crc.to_bytes(4, "big")).decode(),
            **condition,
        }
        return await self.call("PUT", key, fields, parts)

    async def call(
        self,
        method: Method,
        key: str,
        fields: Mapping[str, str] | None = None,
        parts: Sequence[Buffer] = (),
        *,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call about an object, or about the bucket if the key is empty.

        Returns the answer of the last attempt; OSError (TimeoutError included) if that had none.
        """
        path = f"/{self._bucket}/{quote(key, safe='/~')}" if key else f"/{self._bucket}"
        if query:
            path += "?" + "&".join(f"{name}={_quoted(query[name])}" for name in sorted(query))
        for attempt in range(1, self._attempts_max + 1):
            try:
                answer = await self._tried(method, path, fields or {}, parts)
            except OSError:  # broken, refused or silent
                if attempt == self._attempts_max:
                    raise
            else:
                if not answer.worth_a_retry or attempt == self._attempts_max:
                    return answer
            await asyncio.sleep(random.uniform(0, min(_PAUSE_S_MAX, _PAUSE_S * 2 ** (attempt - 1))))
        raise AssertionError("the last attempt returned or raised")

    async def _tried(self, method: Method, path: str, fields: Mapping[str, str], parts: Sequence[Buffer]) -> Answer:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = signed(await self._keys(), self._region, self._host, method, path, fields, stamp)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
        said = await self._wires.ask([head, *parts], head_only=method == "HEAD")
        good = said.status in _DONE
        if good and method == "GET" and not said.measured:
            raise ConnectionError("the store did not say how long the object is")
        if good and (method == "GET" or b"<Error" not in said.body):
            return Answer(said.status, said.body, head=said.head)
        code = _CODE.search(said.body.decode("utf-8", "replace"))
        return Answer(said.status, said.body, code[1] if code else str(said.status), said.head)
