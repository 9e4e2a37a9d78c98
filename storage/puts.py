"""The hot path to S3: one conditional PUT of a list of buffers, without a copy and without botocore around it.

`put_object` of aioboto3 costs more than everything else that a node does for a pair. Here a PUT is a signature
(`signing.py`), a CRC-32 and a request of aiohttp, whose body is the caller's buffers one after another. They stay as
they are until this returns, so a repetition sends the same bytes. What S3 asks of its clients is kept: an answer that
says "later" and a connection that broke are tried again after a jittered pause.
"""

import asyncio
import random
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp.abc import AbstractStreamWriter
from isal import isal_zlib
from yarl import URL

from .blobs import Buffer
from .signing import Keys, signed

_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_LATER: Final = {429, 500, 502, 503, 504}
# Answers of 400 that say that the body did not arrive as it was sent.
_GARBLED: Final = {"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch"}
_PAUSE_S: Final = 0.2  # before the second try at most, twice as long before each further one
_PAUSE_S_MAX: Final = 5.0
_UNWANTED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")  # aiohttp would add them


class Answer(msgspec.Struct, frozen=True):
    """What the store said: the HTTP status, and S3's error code and text where it was not 200."""

    status: int
    code: str = ""
    text: str = ""

    @property
    def worth_a_retry(self) -> bool:
        """Whether the same request may go well a moment later."""
        return self.status in _LATER or self.code in _GARBLED


class Puts:
    """PUTs into one bucket; `credentials` are botocore's, which renew themselves. Open it with `open`."""

    def __init__(self, endpoint: str, bucket: str, region: str, credentials: Any) -> None:  # noqa: ANN401 - no types
        self._url = URL(endpoint)
        self._bucket = bucket
        self._region = region
        self._credentials = credentials
        self._session: aiohttp.ClientSession

    def open(self, *, connections_max: int, connect_timeout_s: float, read_timeout_s: float, ca_file: str) -> None:
        """Make the pool of connections; `ca_file` replaces the system's certificates where it is given."""
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections_max, ssl=trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=read_timeout_s),
            skip_auto_headers=_UNWANTED,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def create(self, key: str, parts: Sequence[Buffer], attempts_max: int) -> Answer:
        """PUT with `If-None-Match: *`: the last answer of so many tries; aiohttp's errors when there was none."""
        path = f"/{self._bucket}/{quote(key, safe='/~')}"
        crc = 0
        for part in parts:
            crc = isal_zlib.crc32(part, crc)
        body = _Parts(parts)
        fields = {"if-none-match": "*", "x-amz-checksum-crc32": b64encode(crc.to_bytes(4, "big")).decode()}
        for attempt in range(1, attempts_max + 1):
            try:
                answer = await self._put(path, fields, body)
            except (aiohttp.ClientError, TimeoutError, OSError):
                if attempt == attempts_max:
                    raise
            else:
                if not answer.worth_a_retry or attempt == attempts_max:
                    return answer
            await asyncio.sleep(random.uniform(0, min(_PAUSE_S_MAX, _PAUSE_S * 2 ** (attempt - 1))))
        raise AssertionError("the last attempt returned or raised")

    async def _put(self, path: str, fields: dict[str, str], body: "_Parts") -> Answer:
        frozen = await self._credentials.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = signed(keys, self._region, self._url.authority, path, fields, stamp)
        url = self._url.with_path(path, encoded=True)
        async with self._session.put(url, data=body, headers=headers) as response:
            if response.status == 200:
                return Answer(200)
            text = await response.text(errors="replace")
            code = _CODE.search(text)
            return Answer(response.status, code[1] if code else str(response.status), text)


class _Parts(aiohttp.Payload):
    """A body that is sent buffer by buffer, and again if need be."""

    def __init__(self, parts: Sequence[Buffer]) -> None:
        super().__init__(parts)
        self._size = sum(map(len, parts))

    async def write(self, writer: AbstractStreamWriter) -> None:
        for part in self._value:
            await writer.write(part)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise NotImplementedError("a photo is no text")
