"""A PNG's chunks (PNG 3rd edition, section 5): its header, where its pixels are, and whether its end is there.

Pure, and the only PNG parser of nodes and workers, so that both refuse the same files. No pixel is decoded. A decoder
gets `picture`: header, palette, transparency, EXIF and pixels. So text of any length, a wrong checksum in a chunk that
a picture does not need, and bytes behind IEND cannot fail it. Text is not even decompressed. A colour profile is
decompressed here, up to a limit (`profile`).
"""

import struct
import zlib
from collections.abc import Container, Sized
from typing import Final

import msgspec

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
# The cost grows with the number of chunks: 10 MiB of empty ones take 4 s. libpng writes one for every 8 KiB.
CHUNKS_MAX: Final = 4096
# 50 MP with 8 bits and four channels; with 16 bits, which no phone's PNG has, half as many pixels.
RAW_BYTES_MAX: Final = 200_000_000
# A press profile has 2 MB, a phone's 600 bytes.
PROFILE_BYTES_MAX: Final = 4 << 20

_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")
_FRAMING = 12  # length, name and checksum
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# The bits of a sample that each colour type may have (table 11.1).
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PALETTE = 3  # the colour type of a picture with a palette
# The least length of a transparency chunk by colour type (11.3.1.1).
_KEY_BYTES = {0: 2, 2: 6, _PALETTE: 1}
_KEPT = {b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"cICP"}
_BEFORE_PALETTE = {b"iCCP", b"cICP"}
_BEFORE_PIXELS = _BEFORE_PALETTE | {b"PLTE", b"tRNS"}


class Malformed(Exception):
    """The PNG cannot be decoded; the text says why, as "a PNG …"."""


class Head(msgspec.Struct, frozen=True):
    """What the chunks say; `chunks` has the start and end of the content of those that matter, by name.

    `pixels` has the start and end of every IDAT chunk, with length, name and checksum.
    """

    width: int
    height: int
    bits: int
    colour: int
    chunks: dict[bytes, tuple[int, int]]
    pixels: tuple[tuple[int, int], ...]


def head(data: memoryview) -> Head:
    """Read the chunks up to IEND; Malformed."""
    at, chunks, pixels = len(MAGIC), dict[bytes, tuple[int, int]](), list[tuple[int, int]]()
    for _ in range(CHUNKS_MAX):
        if at + _FRAMING > len(data):
            raise Malformed("cut off: its end is missing")
        length, name = _CHUNK.unpack_from(data, at)
        end = at + _FRAMING + length
        if (not chunks and name != b"IHDR") or not name.isalpha():
            raise Malformed("a PNG with a chunk that cannot be read")
        if end > len(data):
            raise Malformed("cut off: its end is missing")
        if name == b"IDAT":
            pixels.append((at, end))
        elif name == b"IEND":
            return _head(data, chunks, tuple(pixels))
        elif not chunks or (name in _KEPT and _is_in_place(name, chunks, pixels)):
            chunks.setdefault(name, (at + 8, end - 4))
        at = end
    raise Malformed(f"a PNG of more than {CHUNKS_MAX} chunks")


def _is_in_place(name: bytes, before: Container[bytes], pixels: Sized) -> bool:
    """Whether a chunk may follow these; one that may not does not count, as in libpng (5.6)."""
    late = len(pixels) > 0 and name in _BEFORE_PIXELS
    return not late and not (b"PLTE" in before and name in _BEFORE_PALETTE)


def _head(data: memoryview, chunks: dict[bytes, tuple[int, int]], pixels: tuple[tuple[int, int], ...]) -> Head:
    start, end = chunks[b"IHDR"]
    if end - start != _HEADER.size or not _intact(data, start, end):
        raise Malformed("a PNG whose header does not match its checksum")
    width, height, bits, colour, packing, filtering, interlacing = _HEADER.unpack_from(data, start)
    if bits not in _DEPTHS.get(colour, ()) or packing or filtering or interlacing > 1 or not width or not height:
        raise Malformed("a PNG whose header has values that no decoder knows")
    raw = width * height * bits * _CHANNELS[colour] // 8
    if bits > 8 and raw > RAW_BYTES_MAX:
        raise Malformed(
            f"a PNG with {raw / 1e6:.0f} MB of {bits}-bit pixels; the limit is {RAW_BYTES_MAX / 1e6:.0f} MB"
        )
    if all(end - start == _FRAMING for start, end in pixels):
        raise Malformed("a PNG without pixels")
    if colour == _PALETTE:
        start, end = chunks.get(b"PLTE", (0, 0))
        if not 3 <= end - start <= 768 or (end - start) % 3 or not _intact(data, start, end):
            raise Malformed("a PNG whose palette is missing or cannot be read")
    return Head(width, height, bits, colour, chunks, pixels)


def picture(data: memoryview, start: Head) -> bytes:
    """The photo as a decoder gets it: the chunks that its pixels need and EXIF, then IEND."""
    parts: list[bytes | memoryview] = [MAGIC, _chunk(b"IHDR", data[slice(*start.chunks[b"IHDR"])])]
    if start.colour == _PALETTE:
        parts.append(_chunk(b"PLTE", data[slice(*start.chunks[b"PLTE"])]))
    key = _content(data, start, b"tRNS")
    if key and _KEY_BYTES.get(start.colour, 257) <= len(key) <= 256:
        parts.append(_chunk(b"tRNS", key))
    exif = _content(data, start, b"eXIf")
    if exif:
        parts.append(_chunk(b"eXIf", exif))
    parts += [data[slice(*one)] for one in start.pixels]
    return b"".join((*parts, _chunk(b"IEND", b"")))


def profile(data: memoryview, start: Head) -> bytes | None:
    """The colour profile; None if there is none, or none that can be read within the limit (11.3.2.3)."""
    content = bytes(_content(data, start, b"iCCP"))
    name, _, packed = content.partition(b"\0")
    if not name or packed[:1] != b"\0":
        return None
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(packed[1:], PROFILE_BYTES_MAX)
    except zlib.error:
        return None
    return found if unpacker.eof else None


def code_points(data: memoryview, start: Head) -> tuple[int, int] | None:
    """The code points of colour primaries and transfer characteristics (cICP, 11.3.2.6; ITU-T H.273)."""
    content = _content(data, start, b"cICP")
    return (content[0], content[1]) if len(content) == 4 else None


def _content(data: memoryview, start: Head, name: bytes) -> memoryview:
    """The content of a chunk that a picture does not need; nothing if its checksum is wrong, as in libpng."""
    at, end = start.chunks.get(name, (0, 0))
    return data[at:end] if end and _intact(data, at, end) else data[:0]


def _intact(data: memoryview, start: int, end: int) -> bool:
    """Whether the content of a chunk matches its checksum, which is over name and content."""
    return zlib.crc32(data[start - 4 : end]) == int.from_bytes(data[end : end + 4], "big")


def _chunk(name: bytes, content: bytes | memoryview) -> bytes:
    return b"".join(
        (struct.pack(">I", len(content)), name, content, struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))
    )
