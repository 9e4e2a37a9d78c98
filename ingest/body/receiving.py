"""Receives a pair: the multipart body in one pass, within its limits, with both photos inspected.

The only file that reads the body. Every fault of the body becomes a `Refusal` here. A refused body leaves nothing
behind: until the pair is returned, it exists only in this request's memory.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import aiohttp
import msgspec
from aiohttp import web

from storage.records import SIDES, Photos

from ..admission import Admission
from ..config import Config
from ..errors import Refusal
from ..metrics import Metrics
from ..places import Place
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


class Shed(Exception):
    """The upload was ended because another one needed its memory."""


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
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise Refusal("expectation-failed", "the only known expectation is 100-continue", stored=False)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal("bad-request", "send the body without Content-Encoding", stored=False)
        length = request.content_length
        if length is not None and length > self._config.body_bytes_max:
            raise self._too_large()
        return boundary, self._config.body_bytes_max if length is None else length

    def digest(self, request: web.Request) -> BodyDigest | None:
        """What a retry with a ticket must prove of its body; Refusal when it brings nothing that can be checked.

        The ticket of a body with a length is bound to the length too, so such a retry may come without a digest.
        """
        try:
            digest = BodyDigest(request.headers.getall("Content-Digest", ()))
        except BadDigest as error:
            raise Refusal("bad-request", str(error), stored=False) from None
        if not digest and request.content_length is None:
            detail = "a retry with a ticket and without Content-Length needs a Content-Digest with sha-256 or sha-512"
            raise Refusal("bad-request", detail, stored=False)
        return digest or None

    async def receive(
        self, request: web.Request, boundary: bytes, place: Place, digest: BodyDigest | None = None
    ) -> Pair:
        """The pair; Refusal when the body is malformed, too slow, too large, or has no two acceptable photos.

        With a digest also when it is not that of the body. Shed when admission gave the upload's place to another one.
        """
        buffer = self._buffers.take(place.length)
        if not self._admission.hold(place, buffer.touched):
            buffer.empty()
        reader = MultipartReader(boundary, self._part_bytes_max, buffer)
        arriving = Arriving(reader, buffer, place, self._admission, digest)
        try:
            await self._read_into(arriving, request)
            self._admission.whole(place, time.perf_counter())
            buffer.used = place.received
            if digest is not None:
                digest.check()
            return self._pair(reader, buffer)
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
        finally:
            arriving.end()

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

    async def _read_into(self, arriving: "Arriving", request: web.Request) -> None:
        """Feed the reader until the body ends; enforces the minimum rate and the maximum length."""
        if arriving.place.gone:
            raise Shed
        await _continue(request)
        loop, config = asyncio.get_running_loop(), self._config
        pace = Pace(
            loop.time(), grace_s=config.body_grace_s, stall_s=config.body_stall_s, rate=config.body_rate_min_bytes_s
        )
        try:
            doorway = doorway_of(request)
            if request.content_length is None and (doorway is None or doorway.held is None):
                await self._read_chunked(arriving, request, pace)
            else:
                while early := request.content.read_nowait():
                    arriving.feed(early)
                if request.content_length is None or arriving.place.received < request.content_length:
                    pace.moved(loop.time(), arriving.place.received)
                    landing = Landing(request, arriving, pace, bytes_max=config.body_bytes_max)
                    arriving.wake = lambda: landing.give_up(Shed())
                    await landing.run()
        except TimeoutError:
            if arriving.place.gone:
                raise Shed from None
            raise Refusal("too-slow", pace.told(loop.time()), stored=False) from None
        except BodyTooLong:
            raise self._too_large() from None
        except BadChunks as error:
            raise Refusal("bad-request", f"the body is malformed: {error}", stored=False) from None
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError) as error:
            raise Refusal("bad-multipart", "the body was cut off", stored=False) from error
        finally:
            self._metrics.bytes.inc(arriving.place.received)

    async def _read_chunked(self, arriving: "Arriving", request: web.Request, pace: Pace) -> None:
        """Read a chunked body whose head did not come in one read through aiohttp, at several times the cost."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(pace.due()) as patience:
            arriving.wake = lambda: None if patience.expired() else patience.reschedule(0)
            while chunk := await request.content.readany():
                received = arriving.place.received + len(chunk)
                if received > self._config.body_bytes_max:
                    raise self._too_large()
                arriving.feed(chunk)
                pace.moved(loop.time(), received)
                patience.reschedule(pace.due())

    def _too_large(self) -> Refusal:
        return Refusal("too-large", f"a pair may have {self._config.body_bytes_max} bytes", stored=False)


class Arriving:
    """A body on its way into its buffer, as far as admission has room for it: the sink of its landing."""

    def __init__(
        self,
        reader: MultipartReader,
        buffer: Buffer,
        place: Place,
        admission: Admission,
        digest: BodyDigest | None = None,
    ) -> None:
        self.place = place
        self._digest = digest
        self.wake: Callable[[], None] | None = None  # wakes the handler that waits for the next piece
        self._reader = reader
        self._buffer = buffer
        self._admission = admission
        place.on_shed = self._shed

    def feed(self, data: bytes) -> None:
        """Take bytes that came through aiohttp; Shed, and the exceptions of the reader."""
        if len(self._ask(len(data))) < len(data) or self.place.gone:
            raise Shed
        self._admission.arrived(self.place, len(data))
        if self._digest is not None:
            self._digest.update(data)
        self._reader.feed(data)

    def room(self) -> memoryview:
        """The part of the buffer that admission has memory for."""
        return self._ask(len(self._reader.room()))

    def landed(self, count: int) -> None:
        """Take `count` bytes that were written into `room`; raises the exceptions of the reader."""
        self._admission.arrived(self.place, count)
        if self._digest is not None:
            self._digest.update(self._reader.room()[:count])
        self._reader.landed(count)

    def end(self) -> None:
        """Break the reference cycles, which would otherwise wait for the garbage collector."""
        self.place.on_shed = None
        self.wake = None

    def _ask(self, wanted: int) -> memoryview:
        granted, victims = self._admission.room(self.place, wanted, time.perf_counter())
        for victim in victims:
            victim.shed()
        return self._reader.room()[:granted]

    def _shed(self) -> None:
        self._buffer.empty()
        if self.wake:
            self.wake()


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
