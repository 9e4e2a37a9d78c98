"""What is refused at the header, from both sides of each limit, and what a photo is expected to cost."""

import struct

import pytest

from bench.contests.boxes import box
from storage.photo import jpeg
from storage.photo.costs import DEAR_S, SCAN_PIXELS_MAX, SCANS_MAX, cpu_s, scans_refusal
from storage.photo.formats import Limits
from storage.photo.judge import Refused, judged
from storage.records import Format
from tests.unit.storage.photo import heifs
from tests.unit.storage.photo.test_jpeg import SOS, photo


def sized(data: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header."""
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def scanned(more: int) -> bytes:
    """A progressive JPEG of ten scans and some more, at 40 MP."""
    data = photo(progressive=True)
    return sized(data[:-2] + data[data.rfind(SOS) : -2] * more + data[-2:], 8000, 5000)


def refused(data: bytes) -> str | None:
    """Why a JPEG is refused for its scans."""
    return scans_refusal(memoryview(data), jpeg.head(memoryview(data)))


def test_scans_are_bounded_by_pixels() -> None:
    """15 at 40 MP, 64 at most."""
    most = SCAN_PIXELS_MAX // 40_000_000
    assert refused(scanned(most - 10)) is None
    assert refused(scanned(most - 9)) == f"a JPEG of more than {most} scans"
    small = scanned(SCANS_MAX - 9)
    assert refused(sized(small, 96, 128)) == f"a JPEG of more than {SCANS_MAX} scans"
    assert refused(sized(scanned(SCANS_MAX - 10), 96, 128)) is None


@pytest.mark.parametrize(("frame", "coding"), [(3, "lossless"), (6, "differential"), (9, "arithmetic"), (10, "arith")])
def test_frames_that_no_phone_writes_are_refused(frame: int, coding: str) -> None:
    """With a reason that names the coding; Huffman-coded frames pass, extended ones too."""
    data = photo()
    with pytest.raises(Refused, match=coding):
        judged(memoryview(data.replace(b"\xff\xc0", bytes((0xFF, 0xC0 + frame)), 1)), Limits())
    assert judged(memoryview(data.replace(b"\xff\xc0", b"\xff\xc1", 1)), Limits()).format == "jpeg"


def test_costs_grow_with_pixels_bytes_and_scans() -> None:
    """An ordinary pair is far from dear, one of 50 MP in HEIC is not."""
    data = memoryview(photo())
    assert 2 * cpu_s("jpeg", data, 1500, 2000) < DEAR_S / 3
    assert 2 * cpu_s("jpeg", data, 3024, 4032) < DEAR_S
    assert cpu_s("heif", data, 8000, 6000) > DEAR_S
    progressive = memoryview(photo(progressive=True))
    assert cpu_s("jpeg", progressive, 8000, 6000) > cpu_s("jpeg", data, 8000, 6000)
    assert cpu_s("webp", memoryview(bytes(10**6)), 100, 100) > cpu_s("webp", data, 100, 100)


@pytest.mark.parametrize(("kind", "format_"), [("HEIF", "heif"), ("AVIF", "avif")])
def test_what_is_decoded_costs_even_if_it_is_not_shown(kind: str, format_: Format) -> None:
    """Of 1,000 x 1,000 pixels 64 x 64 are shown: the cost is that of the whole."""
    clap = box(b"clap", struct.pack(">8i", 64, 1, 64, 1, 0, 1, 0, 1))
    whole, cropped = (heifs.file(kind, {1: heifs.image(kind, (1000, 1000), *more)}) for more in ((), (clap,)))
    shown = judged(memoryview(cropped), Limits())

    cost = cpu_s(format_, memoryview(cropped), 64, 64)

    assert kind == "AVIF" or (shown.width, shown.height) == (64, 64)
    assert cost == pytest.approx(cpu_s(format_, memoryview(whole), 1000, 1000), rel=0.01)
    assert cost > cpu_s(format_, memoryview(b"broken"), 64, 64)


def test_a_photo_that_was_refused_has_a_cost_too() -> None:
    """A pair that an earlier version accepted is weighed before it is judged again."""
    assert cpu_s("jpeg", memoryview(b"\xff\xd8\xff"), 100, 100) > 0
