"""Receives a pair: the multipart body in one pass, within its limits, and both photos inspected.

The only file that touches the body. Whatever is wrong with it becomes a `Refusal` here, and nothing is left behind:
until the pair is returned it exists in this request's memory alone.
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
from .landing import Landing
from .multipart import BadMultipart, MultipartReader, PartTooLarge, boundary_of
from .photos import BadPhoto, NotAPhoto, inspect


class Pair(msgspec.Struct, frozen=True):
    """Two photos as received, in the upload's one buffer, what their headers say, and the client's `meta` as sent."""

    front: memoryview
    back: memoryview
    photos: Photos
    meta: bytes
    buffer: Buffer


class Shed(Exception):
    """The upload had to go, for another that needs its memory."""


# Whoever reads the receipt later recurses once a level; what one stack took may be too deep for another.
META_DEPTH_MAX = 32


class Receiver:
    """Knows the limits of a body."""

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
        """By the head alone: the boundary, and the length to admit (the most there may be, where none is announced)."""
        try:
            boundary = boundary_of(request.headers.get("Content-Type", ""))
        except BadMultipart as error:
            raise Refusal("bad-multipart", str(error), stored=False) from None
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise Refusal("bad-expectation", "the only known expectation is 100-continue", stored=False)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal("bad-request", "send the body without Content-Encoding", stored=False)
        length = request.content_length
        if length is not None and length > self._config.body_bytes_max:
            raise self._too_large()
        return boundary, self._config.body_bytes_max if length is None else length

    async def receive(self, request: web.Request, boundary: bytes, place: Place) -> Pair:
        """The pair; Refusal when the body is malformed, too slow, too large, or holds no two photos that we take.

        Shed when admission gave the place to somebody else meanwhile.
        """
        buffer = self._buffers.take(place.length)
        if not self._admission.hold(place, buffer.touched):
            buffer.empty()
        reader = MultipartReader(boundary, self._part_bytes_max, buffer)
        arriving = Arriving(reader, buffer, place, self._admission)
        try:
            await self._read_into(arriving, request)
            self._admission.whole(place, time.perf_counter())
            return self._pair(reader, buffer)
        except BadMultipart as error:
            raise Refusal("bad-multipart", str(error), stored=False) from None
        except PartTooLarge as error:
            raise Refusal("too-large", str(error), stored=False) from None
        except NotAPhoto as error:
            raise Refusal("not-a-photo", str(error), stored=False) from None
        except BadPhoto as error:
            raise Refusal("bad-photo", str(error), stored=False) from None
        finally:
            arriving.end()

    def release(self, pair: Pair) -> None:
        """The store has the pair, whole: nobody reads it here any more. One that went wrong is not released."""
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
        """Feed the reader until the body ends, no slower than the minimum rate and no longer than the limit."""
        if arriving.place.gone:
            raise Shed
        await _continue(request)
        grace_ends = asyncio.get_running_loop().time() + self._config.body_grace_s
        try:
            if request.content_length is None:
                await self._read_chunked(arriving, request, grace_ends)
            else:
                while early := request.content.read_nowait():
                    arriving.feed(early)
                if arriving.place.received < request.content_length:
                    # What came early bought time too.
                    since = grace_ends + arriving.place.received / self._config.body_rate_min_bytes_s
                    landing = Landing(request, arriving, lambda n: since + n / self._config.body_rate_min_bytes_s)
                    arriving.wake = lambda: landing.give_up(Shed())
                    await landing.run()
        except TimeoutError:
            if arriving.place.gone:
                raise Shed from None
            rate = f"{self._config.body_rate_min_bytes_s} bytes/s"
            raise Refusal("too-slow", f"send at least {rate} on average", stored=False) from None
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError) as error:
            raise Refusal("bad-multipart", "the body was cut off", stored=False) from error
        finally:
            self._metrics.bytes.inc(arriving.place.received)

    async def _read_chunked(self, arriving: "Arriving", request: web.Request, grace_ends: float) -> None:
        """A body whose length nobody announced comes through aiohttp, which knows its chunks."""
        received = 0
        async with asyncio.timeout_at(grace_ends) as patience:
            arriving.wake = lambda: None if patience.expired() else patience.reschedule(0)
            while chunk := await request.content.readany():
                received += len(chunk)
                if received > self._config.body_bytes_max:
                    raise self._too_large()
                arriving.feed(chunk)
                patience.reschedule(grace_ends + received / self._config.body_rate_min_bytes_s)

    def _too_large(self) -> Refusal:
        return Refusal("too-large", f"a pair may have {self._config.body_bytes_max} bytes", stored=False)


class Arriving:
    """One body on its way into its buffer, as far as admission has room for it. It is the sink of its landing."""

    def __init__(self, reader: MultipartReader, buffer: Buffer, place: Place, admission: Admission) -> None:
        self.place = place
        self.wake: Callable[[], None] | None = None  # lets its handler go on that waits for the next piece
        self._reader = reader
        self._buffer = buffer
        self._admission = admission
        place.on_shed = self._shed

    def feed(self, data: bytes) -> None:
        """Bytes that came through aiohttp; Shed, and what the reader raises."""
        if len(self._ask(len(data))) < len(data) or self.place.gone:
            raise Shed
        self._admission.arrived(self.place, len(data))
        self._reader.feed(data)

    def room(self) -> memoryview:
        """Where the next bytes go: so much of the buffer as there is memory for."""
        return self._ask(len(self._reader.room()))

    def landed(self, count: int) -> None:
        """So many bytes have come into the room; what the reader raises."""
        self._admission.arrived(self.place, count)
        self._reader.landed(count)

    def end(self) -> None:
        """Nothing more comes. What refers to each other is parted, or it would wait for the collector."""
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
    """Tell a client that waits for it to send its body (RFC 9110, section 10.1.1); aiohttp would before we decided."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def _json_object(meta: bytes) -> bytes:
    """The `meta` part as sent, proven to be a JSON object; JSON's null where there is none."""
    if not meta:
        return b"null"
    try:
        level: list[object] = [msgspec.json.decode(meta, type=dict[str, object])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMultipart(f"part meta is no JSON object: {error}") from None
    for _ in range(META_DEPTH_MAX):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise BadMultipart(f"part meta nests deeper than {META_DEPTH_MAX}")
    return meta


def _inside(value: object) -> Iterable[object]:
    """The objects and arrays right inside one."""
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in found if isinstance(one, dict | list))
