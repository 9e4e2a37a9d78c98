"""Receives a pair: the multipart body in one pass, within its limits, with both photos inspected.

The only file that reads the body. Every fault of the body becomes a `Refusal` here. A refused body leaves nothing
behind: until the pair is returned, it exists only in this request's memory.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
from aiohttp import web
from multidict import istr

from storage.records import SIDES, Photos

from ..admission import Admission
from ..config import Config
from ..errors import Refusal
from ..metrics import Metrics
from ..places import Place
from .arriving import Arriving, Body, Shed
from .buffers import Buffer, Buffers
from .chunks import BadChunks
from .digests import BadDigest, BodyDigest
from .doorway import doorway_of
from .landing import BodyTooLong, Landing
from .multipart import BadMultipart, MultipartReader, PartTooLarge, boundary_of
from .pace import Pace
from .photos import BadPhoto, NotAPhoto, inspect


class Pair(msgspec.Struct, frozen=True):
    """Two photos as received, in the upload's one buffer, their header data, and the client's `meta` as sent."""

    front: memoryview
    back: memoryview
    photos: Photos
    meta: bytes
    buffer: Buffer


CONTENT_DIGEST, REPR_DIGEST = istr("Content-Digest"), istr("Repr-Digest")


class CutOff(Refusal):
    """The connection ended inside the body."""


class OverLength(Refusal):
    """A body without an announced length is longer than it may be."""


# Readers of the receipt recurse once per level; a depth that fits this stack may be too deep for theirs.
META_DEPTH_MAX = 32


class Receiver:
    """Receives bodies within the configured limits."""

    def __init__(self, config: Config, metrics: Metrics, admission: Admission) -> None:
        self._admission = admission
        self._config = config
        self._metrics = metrics
        self._buffers = Buffers()
        self._part_bytes_max = {
            "front": config.photo_bytes_max,
            "back": config.photo_bytes_max,
            "meta": config.meta_bytes_max,
        }
        self._photo_limits = config.photo_limits

    def announced(self, request: web.Request) -> tuple[bytes, int]:
        """The boundary, and the length to admit (the maximum, if none is announced), from the head alone; Refusal."""
        try:
            boundary = boundary_of(request.headers.get("Content-Type", ""))
        except BadMultipart as error:
            raise Refusal("bad-multipart", str(error), stored=False) from None
        self.check_plain(request)
        length = request.content_length
        if length is not None and length > self._config.body_bytes_max:
            raise self._too_large()
        return boundary, self._config.body_bytes_max if length is None else length

    def check_plain(self, request: web.Request) -> None:
        """Refusal when the head demands what cannot be done with a body."""
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise Refusal("expectation-failed", "the only known expectation is 100-continue", stored=False)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal("bad-request", "send the body without Content-Encoding", stored=False)

    def retry_digest(self, request: web.Request) -> BodyDigest | None:
        """What a retry with a ticket must prove of its body; Refusal when it brings nothing that can be checked.

        The ticket of a body with a length is bound to the length too, so such a retry may come without a digest.
        """
        digest = self.digest(request, CONTENT_DIGEST, REPR_DIGEST)
        if digest is None and request.content_length is None:
            detail = (
                "without Content-Length a retry with a ticket needs Content-Digest or Repr-Digest, sha-256 or sha-512"
            )
            raise Refusal("bad-request", detail, stored=False)
        return digest

    def digest(self, request: web.Request, *fields: str, idle: bool = False) -> BodyDigest | None:
        """The digests in these fields of a request; None when there is none that can be checked. Refusal."""
        sent = {name: request.headers.getall(name) for name in fields if name in request.headers}
        try:
            return (BodyDigest(sent, idle=idle) or None) if sent else None
        except BadDigest as error:
            raise Refusal("bad-request", str(error), stored=False) from None

    def begin(self, boundary: bytes, place: Place, digest: BodyDigest | None = None) -> Body:
        """The body of an upload of which nothing has arrived, with a buffer as long as its place."""
        buffer = self._buffers.take(place.length)
        # A reused buffer has memory already; if the budget has none for it, that memory goes.
        if not self._admission.hold(place, buffer.touched):
            buffer.empty()
        return Body(place, buffer, MultipartReader(boundary, self._part_bytes_max, buffer), digest)

    async def receive(
        self, request: web.Request, boundary: bytes, place: Place, digest: BodyDigest | None = None
    ) -> Pair:
        """The pair; Refusal when the body is malformed, too slow, too large, or has no two acceptable photos.

        With a digest also when it is not that of the body. Shed when admission gave the upload's place to another one.
        """
        body = self.begin(boundary, place, digest)
        await self.read(request, Arriving(body, self._admission))
        return self.whole(body)

    async def read(self, request: web.Request, arriving: Arriving) -> None:
        """Take the content of one request; Refusal, Shed, or the error with which it was given up."""
        try:
            with _refusing():
                await self._read_into(arriving, request)
            if arriving.error is not None:  # given up between the last byte and here
                raise arriving.error
        finally:
            arriving.end()

    def whole(self, body: Body) -> Pair:
        """The pair of a body that has arrived completely; Refusal."""
        with _refusing():
            self._admission.whole(body.place, time.perf_counter())
            body.buffer.used = body.place.received
            if body.digest is not None:
                body.digest.check()
            return self._pair(body.reader, body.buffer)

    def release(self, pair: Pair) -> None:
        """Keep the pair's buffer for reuse, after the store has the complete pair. Not called after a failure."""
        self._buffers.give(pair.buffer)

    def _pair(self, reader: MultipartReader, buffer: Buffer) -> Pair:
        parts = reader.finish()
        missing = [side for side in SIDES if side not in parts]
        if missing:
            raise BadMultipart(f"part {' and '.join(missing)} is missing")
        data = {name: reader.data(part) for name, part in parts.items()}
        photos = {side: inspect(side, data[side], parts[side].sha256, self._photo_limits) for side in SIDES}
        return Pair(data["front"], data["back"], Photos(**photos), _json_object(bytes(data.get("meta", b""))), buffer)

    async def _read_into(self, arriving: Arriving, request: web.Request) -> None:
        """Feed the reader until the content ends; enforces the minimum rate and the maximum length."""
        if arriving.place.gone:
            raise Shed
        await _continue(request)
        if arriving.error is not None:
            raise arriving.error
        loop, config = asyncio.get_running_loop(), self._config
        pace = Pace(
            loop.time(), grace_s=config.body_grace_s, stall_s=config.body_stall_s, rate=config.body_rate_min_bytes_s
        )
        try:
            doorway = doorway_of(request)
            if request.content_length is None and (doorway is None or doorway.unparsed is None):
                await self._read_chunked(arriving, request, pace)
            else:
                while early := request.content.read_nowait():
                    arriving.feed(early)
                if request.content_length is None or arriving.received < request.content_length:
                    pace.moved(loop.time(), arriving.received)
                    landing = Landing(request, arriving, pace, bytes_max=arriving.bytes_max)
                    arriving.wake = landing.give_up
                    await landing.run()
        except TimeoutError:
            if arriving.error is not None:
                raise arriving.error from None
            raise Refusal("too-slow", pace.told(loop.time()), stored=False) from None
        except BodyTooLong:
            raise self._over_length() from None
        finally:
            self._metrics.bytes.inc(arriving.received)

    async def _read_chunked(self, arriving: Arriving, request: web.Request, pace: Pace) -> None:
        """Read a chunked body whose head did not come in one read through aiohttp, at several times the cost."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(pace.due()) as patience:
            arriving.wake = lambda _: None if patience.expired() else patience.reschedule(0)
            while chunk := await request.content.readany():
                received = arriving.received + len(chunk)
                if received > arriving.bytes_max:
                    raise self._over_length()
                arriving.feed(chunk)
                pace.moved(loop.time(), received)
                patience.reschedule(pace.due())

    def _too_large(self) -> Refusal:
        return Refusal("too-large", f"a pair may have {self._config.body_bytes_max} bytes", stored=False)

    def _over_length(self) -> OverLength:
        return OverLength("too-large", f"a pair may have {self._config.body_bytes_max} bytes", stored=False)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn the faults of a body into refusals."""
    try:
        yield
    except BadMultipart as error:
        raise Refusal("bad-multipart", str(error), stored=False) from None
    except BadDigest as error:
        raise Refusal("bad-request", f"{error}; send what the digest was made of", stored=False) from None
    except PartTooLarge as error:
        raise Refusal("too-large", str(error), stored=False) from None
    except NotAPhoto as error:
        raise Refusal("not-a-photo", str(error), stored=False) from None
    except BadPhoto as error:
        raise Refusal("bad-photo", str(error), stored=False) from None
    except BadChunks as error:
        raise Refusal("bad-request", f"the body is malformed: {error}", stored=False) from None
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError) as error:
        raise CutOff("bad-multipart", "the body was cut off", stored=False) from error


async def _continue(request: web.Request) -> None:
    """Send 100 Continue to a client that waits for it (RFC 9110, section 10.1.1); aiohttp would before the decision."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # so that aiohttp does not count it as the beginning of the answer


def _json_object(meta: bytes) -> bytes:
    """The `meta` part as sent, checked to be a JSON object; JSON null if there is none."""
    if not meta:
        return b"null"
    if meta.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise BadMultipart("part meta begins with a byte order mark; send UTF-8 without one")
    if meta.isspace():
        raise BadMultipart("part meta is blank; send a JSON object, or leave the part out")
    try:
        level: list[object] = [msgspec.json.decode(meta.decode(), type=dict[str, object])]
    except RecursionError:
        raise BadMultipart(f"part meta nests deeper than {META_DEPTH_MAX}") from None
    except UnicodeDecodeError as error:
        raise BadMultipart(f"part meta is not UTF-8: byte {error.start} is {meta[error.start]:#04x}") from None
    except msgspec.MsgspecError as error:
        raise BadMultipart(f"part meta cannot be read as a JSON object: {error}") from None
    for _ in range(META_DEPTH_MAX):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise BadMultipart(f"part meta nests deeper than {META_DEPTH_MAX}")
    return meta


def _inside(value: object) -> Iterable[object]:
    """The objects and arrays directly inside a value."""
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in found if isinstance(one, dict | list))
