"""The hot path to S3: one conditional PUT of a list of buffers, without a copy and without botocore around it.

`put_object` of aioboto3 costs more than everything else that a node does for a pair. Here a PUT is a signature
(`signing.py`), a CRC-32 and a head (`wire.py`) before the caller's buffers. They stay as they are until this returns,
so a repetition sends the same bytes. What S3 asks of its clients is kept: an answer that
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
from urllib.parse import quote, urlsplit

import msgspec
from isal import isal_zlib

from .blobs import Buffer
from .signing import Keys, signed
from .wire import Wires

_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_LATER: Final = {429, 500, 502, 503, 504}
# Answers of 400 that say that the body did not arrive as it was sent.
_GARBLED: Final = {"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch"}
# The answer of 409 to a conditional PUT that met a delete on its way: "on a 409 failure you should retry the upload".
_CROSSED: Final = {"ConditionalRequestConflict"}
_PAUSE_S: Final = 0.2  # before the second try at most, twice as long before each further one
_PAUSE_S_MAX: Final = 5.0


class Answer(msgspec.Struct, frozen=True):
    """What the store said: the HTTP status, and S3's error code and text where it was not 200."""

    status: int
    code: str = ""
    text: str = ""

    @property
    def worth_a_retry(self) -> bool:
        """Whether the same request may go well a moment later."""
        return self.status in _LATER or self.code in _GARBLED | _CROSSED


class Puts:
    """PUTs into one bucket; `credentials` are botocore's, which renew themselves; `ca_file` replaces the system's."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        region: str,
        credentials: Any,  # noqa: ANN401 - botocore has no types
        *,
        connections_max: int,
        connect_timeout_s: float,
        read_timeout_s: float,
        ca_file: str = "",
    ) -> None:
        place = urlsplit(endpoint)
        secure = place.scheme == "https"
        self._host = place.netloc
        self._bucket = bucket
        self._region = region
        self._credentials = credentials
        self._wires = Wires(
            place.hostname or "",
            place.port or (443 if secure else 80),
            ssl.create_default_context(cafile=ca_file or None) if secure else None,
            connections_max=connections_max,
            connect_timeout_s=connect_timeout_s,
            silence_s=read_timeout_s,
        )

    def close(self) -> None:
        """Close the connections."""
        self._wires.close()

    async def create(self, key: str, parts: Sequence[Buffer], attempts_max: int) -> Answer:
        """PUT with `If-None-Match: *`: the last answer of so many tries; OSError, TimeoutError when there was none."""
        path = f"/{self._bucket}/{quote(key, safe='/~')}"
        crc = 0
        for part in parts:
            crc = isal_zlib.crc32(part, crc)
        fields = {
            "content-length": str(sum(map(len, parts))),
            "if-none-match": "*",
            "x-amz-checksum-crc32": b64encode(crc.to_bytes(4, "big")).decode(),
        }
        for attempt in range(1, attempts_max + 1):
            try:
                answer = await self._put(path, fields, parts)
            except OSError:  # broken, refused or silent: TimeoutError is one
                if attempt == attempts_max:
                    raise
            else:
                if not answer.worth_a_retry or attempt == attempts_max:
                    return answer
            await asyncio.sleep(random.uniform(0, min(_PAUSE_S_MAX, _PAUSE_S * 2 ** (attempt - 1))))
        raise AssertionError("the last attempt returned or raised")

    async def _put(self, path: str, fields: dict[str, str], parts: Sequence[Buffer]) -> Answer:
        frozen = await self._credentials.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = signed(keys, self._region, self._host, path, fields, stamp)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        said = await self._wires.ask([f"PUT {path} HTTP/1.1\r\n{lines}\r\n".encode(), *parts])
        if said.status == 200:
            return Answer(200)
        text = said.body.decode("utf-8", "replace")
        code = _CODE.search(text)
        return Answer(said.status, code[1] if code else str(said.status), text)
