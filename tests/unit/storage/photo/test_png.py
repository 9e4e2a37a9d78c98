"""PNG chunks: what a decoder needs is kept, what it does not is skipped, what cannot be decoded is malformed."""

import io
import time
import zlib

import pytest
import pyvips
from PIL import Image, ImageCms

from bench.contests.bombs import chunk
from processors.render.decoding import decoded
from storage.photo.png import CHUNKS_MAX, PROFILE_BYTES_MAX, Malformed, code_points, head, picture, profile
from tests.unit.storage.photo import odd

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def with_chunks(*chunks: bytes) -> memoryview:
    """A PNG with more chunks behind its header."""
    return memoryview(odd.behind_header(odd.written("PNG"), b"".join(chunks)))


def fault(data: bytes | memoryview) -> str:
    """Why the PNG is malformed."""
    with pytest.raises(Malformed) as malformed:
        head(memoryview(data))
    return str(malformed.value)


def deep(width: int, height: int, bits: int) -> bytes:
    """The head of an RGBA PNG, and an IDAT chunk that has a byte."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((bits, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def test_size_and_depth_are_read() -> None:
    """From the header chunk."""
    found = head(memoryview(odd.written("PNG")))

    assert (found.width, found.height, found.bits, found.colour) == (96, 128, 8, 2)


def test_a_picture_has_what_its_pixels_need() -> None:
    """The same pixels, EXIF and transparency; no text, no time, nothing behind the end."""
    data = odd.behind_header(odd.palette(), chunk(b"tEXt", b"a\0b") + chunk(b"eXIf", odd.exif(6)[6:])) + odd.FILM
    kept = picture(memoryview(data), head(memoryview(data)))
    with Image.open(io.BytesIO(kept)) as image, Image.open(io.BytesIO(data)) as whole:
        assert image.convert("RGBA").tobytes() == whole.convert("RGBA").tobytes()
        assert image.getexif()[odd.ORIENTATION] == 6
    assert b"tEXt" not in kept
    assert kept.endswith(chunk(b"IEND", b""))


def test_a_chunk_that_is_not_needed_counts_only_with_its_checksum() -> None:
    """As for libpng."""
    good, broken = chunk(b"cICP", b"\x09\x10\0\1"), chunk(b"cICP", b"\x09\x10\0\1")[:-1] + b"?"
    data, damaged = with_chunks(good), with_chunks(broken)

    assert code_points(data, head(data)) == (9, 16)
    assert code_points(damaged, head(damaged)) is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"name\0\0" + zlib.compress(PROFILE), PROFILE),
        (b"name\0\0" + zlib.compress(bytes(PROFILE_BYTES_MAX - 1)), bytes(PROFILE_BYTES_MAX - 1)),
        (b"name\0\0" + zlib.compress(bytes(PROFILE_BYTES_MAX + 1)), None),
        (b"name\0\0" + zlib.compress(PROFILE)[:-9], None),
        (b"name\0\1" + zlib.compress(PROFILE), None),
        (b"name\0\0rubbish", None),
        (b"name", None),
        (b"", None),
    ],
    ids=["good", "largest", "larger", "cut", "packed otherwise", "rubbish", "name alone", "empty"],
)
def test_a_profile_is_unpacked_up_to_a_limit(content: bytes, found: bytes | None) -> None:
    """One that cannot be read, or is a bomb, counts as absent."""
    data = with_chunks(chunk(b"iCCP", content))

    assert profile(data, head(data)) == found


def test_a_chunk_counts_only_in_its_place() -> None:
    """Code points and a profile before the palette and the pixels, transparency before the pixels, EXIF anywhere."""
    points, colours = chunk(b"cICP", bytes((9, 16, 0, 1))), chunk(b"iCCP", b"a\0\0" + zlib.compress(b"profile"))
    for photo in (odd.written("PNG"), odd.palette()):
        at = photo.index(b"PLTE" if b"PLTE" in photo else b"IDAT") - 4
        early, late = photo[:at] + points + colours + photo[at:], photo[:-12] + points + colours + photo[-12:]
        behind = photo.index(b"IDAT") - 4
        found = head(memoryview(early))
        assert code_points(memoryview(early), found) == (9, 16)
        assert profile(memoryview(early), found) == b"profile"
        for wrong in (late, photo[:behind] + points + colours + photo[behind:]):
            if wrong == late or b"PLTE" in photo:
                found = head(memoryview(wrong))
                assert (code_points(memoryview(wrong), found), profile(memoryview(wrong), found)) == (None, None)
    exif = memoryview(odd.written("PNG")[:-12] + chunk(b"eXIf", odd.exif(6)[6:]) + chunk(b"IEND", b""))
    assert b"eXIf" in picture(exif, head(exif))


def test_a_palette_and_transparency_behind_the_pixels_do_not_count() -> None:
    """As in libpng, which gives up without a palette."""
    photo = odd.palette()
    for name in (b"PLTE", b"tRNS"):
        at = photo.index(name) - 4
        end = at + 12 + int.from_bytes(photo[at : at + 4], "big")
        moved = memoryview(photo[:at] + photo[end:-12] + photo[at:end] + photo[-12:])
        if name == b"PLTE":
            assert "palette is missing" in fault(moved)
        else:
            assert b"tRNS" not in picture(moved, head(moved))


def test_an_orientation_in_a_text_is_no_orientation() -> None:
    """ImageMagick's `Raw profile type exif`: libvips and browsers read eXIf alone."""
    data = odd.exif(6)
    text = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(data), data.hex().encode()))
    photo = odd.behind_header(odd.written("PNG"), chunk(b"zTXt", text))
    shown = pyvips.Image.new_from_buffer(photo, "").autorot()

    assert Image.open(io.BytesIO(photo)).getexif()[odd.ORIENTATION] == 6  # the control: Pillow reads it
    assert (shown.width, shown.height) == decoded(photo, 2000).size == odd.SIZE


def test_deep_and_chopped_pngs_are_malformed() -> None:
    """16 bits a channel from 25 MP on, and more chunks than any encoder writes."""
    assert head(memoryview(deep(5000, 5000, 16))).bits == 16
    assert fault(deep(5001, 5000, 16)) == "a PNG with 200 MB of 16-bit pixels; the limit is 200 MB"
    assert head(memoryview(deep(7000, 7000, 8)))
    empty = chunk(b"tIME", b"")
    assert head(with_chunks(empty * (CHUNKS_MAX - 3)))
    assert fault(with_chunks(empty * (CHUNKS_MAX - 2))) == f"a PNG of more than {CHUNKS_MAX} chunks"


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (24, 3, "header has values"),
        (25, 7, "header has values"),
        (26, 1, "header has values"),
        (27, 1, "header has values"),
        (28, 2, "header has values"),
        (25, 3, "palette is missing"),
        (19, 0, "header has values"),
        (11, 12, "chunk that cannot be read"),
        (12, 0x30, "chunk that cannot be read"),
    ],
)
def test_a_header_that_no_decoder_knows_is_malformed(offset: int, value: int, reason: str) -> None:
    """Depth, colour type, packing, filter, interlacing, palette, width, length and name; the checksum is right."""
    data = bytearray(odd.written("PNG"))
    data[offset] = value
    if offset > 12:
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")

    assert reason in fault(bytes(data))


def test_a_text_of_any_length_costs_nothing() -> None:
    """No text is unpacked: 300 MB of it take less time than unpacking a hundredth."""
    packed = zlib.compress(bytes(300 << 20), 9)
    data, small = with_chunks(chunk(b"zTXt", b"a\0\0" + packed)), zlib.compress(bytes(3 << 20))
    began = time.process_time()
    head(data)
    middle = time.process_time()
    zlib.decompress(small)

    assert middle - began < time.process_time() - middle
