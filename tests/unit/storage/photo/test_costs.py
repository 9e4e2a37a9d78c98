"""What is refused at the header, from both sides of each limit, and what a photo is expected to cost."""

import io
import struct

import pytest
from PIL import Image

from bench.contests.bombs import chunk
from storage.photo.costs import DEAR_S, PNG_CHUNKS_MAX, SCAN_PIXELS_MAX, SCANS_MAX, cpu_s, refusal
from tests.unit.storage.photo.test_heif import made
from tests.unit.storage.photo.test_jpeg import SOS, photo


def sized(data: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header."""
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def scanned(more: int) -> bytes:
    """A progressive JPEG of ten scans and some more, at 40 MP."""
    data = photo(progressive=True)
    return sized(data[:-2] + data[data.rfind(SOS) : -2] * more + data[-2:], 8000, 5000)


def test_scans_are_bounded_by_pixels() -> None:
    """15 at 40 MP, 64 at most."""
    most = SCAN_PIXELS_MAX // 40_000_000
    assert refusal("jpeg", memoryview(scanned(most - 10))) is None
    assert refusal("jpeg", memoryview(scanned(most - 9))) == f"a JPEG of more than {most} scans"
    small = scanned(SCANS_MAX - 9)
    assert refusal("jpeg", memoryview(sized(small, 96, 128))) == f"a JPEG of more than {SCANS_MAX} scans"
    assert refusal("jpeg", memoryview(sized(scanned(SCANS_MAX - 10), 96, 128))) is None


@pytest.mark.parametrize(("frame", "coding"), [(3, "lossless"), (6, "differential"), (9, "arithmetic"), (10, "arith")])
def test_frames_that_no_phone_writes_are_refused(frame: int, coding: str) -> None:
    """With a reason that names the coding; Huffman-coded frames pass, extended ones too."""
    data = photo()
    found = refusal("jpeg", memoryview(data.replace(b"\xff\xc0", bytes((0xFF, 0xC0 + frame)), 1)))

    assert found
    assert coding in found
    assert refusal("jpeg", memoryview(data.replace(b"\xff\xc0", b"\xff\xc1", 1))) is None


def png(bits: int, width: int, height: int, chunks: int = 0) -> memoryview:
    """The head of an RGBA PNG, and empty chunks."""
    header = struct.pack(">IIBBBBB", width, height, bits, 6, 0, 0, 0)
    more = chunk(b"tIME", b"") * chunks
    return memoryview(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IEND", b""))


def test_deep_and_chopped_pngs_are_refused() -> None:
    """16 bits a channel from 25 MP on, and more chunks than any encoder writes."""
    assert refusal("png", png(16, 5000, 5000)) is None
    assert refusal("png", png(16, 5001, 5000)) == "a PNG with 200 MB of 16-bit pixels; the limit is 200 MB"
    assert refusal("png", png(8, 7000, 7000)) is None
    assert refusal("png", png(8, 64, 64, PNG_CHUNKS_MAX - 2)) is None
    assert refusal("png", png(8, 64, 64, PNG_CHUNKS_MAX - 1)) == f"a PNG of more than {PNG_CHUNKS_MAX} chunks"


def test_a_heic_is_refused_by_its_boxes() -> None:
    """The sentence says what it does; boxes that cannot be read are another reason."""
    found = refusal("heif", made(turns=2))
    assert found == "a HEIC that turns an image more than once, as no phone writes it"
    cut = bytes(made())
    at = cut.index(b"iloc") - 4
    short = cut[:at] + b"\0\0\0\x0e" + cut[at + 4 : at + 14]
    assert refusal("heif", memoryview(short)) == "a HEIC with boxes that cannot be read"


def test_costs_grow_with_pixels_bytes_and_scans() -> None:
    """An ordinary pair is far from dear, one of 50 MP in HEIC is not."""
    data = memoryview(photo())
    assert 2 * cpu_s("jpeg", data, 1500, 2000) < DEAR_S / 3
    assert 2 * cpu_s("jpeg", data, 3024, 4032) < DEAR_S
    assert cpu_s("heif", data, 8000, 6000) > DEAR_S
    progressive = memoryview(photo(progressive=True))
    assert cpu_s("jpeg", progressive, 8000, 6000) > cpu_s("jpeg", data, 8000, 6000)
    assert cpu_s("webp", memoryview(bytes(10**6)), 100, 100) > cpu_s("webp", data, 100, 100)


def test_the_written_inputs_are_refused() -> None:
    """Arithmetic coding as Pillow's libjpeg reads it: 320 bytes that would be 7.5 CPU seconds."""
    out = io.BytesIO()
    Image.new("RGB", (96, 128)).save(out, "JPEG", progressive=True)
    bomb = out.getvalue().replace(b"\xff\xc2", b"\xff\xca", 1)

    assert refusal("jpeg", memoryview(bomb)) == "a JPEG in arithmetic coding (SOF10), which no phone writes"
