"""JPEG markers: the frame that counts, scans inside the picture alone, and no reading without end."""

import contextlib
import io
import time
from collections.abc import Callable

import pytest
from PIL import Image

from storage.photo.jpeg import JUNK_BYTES_MAX, STEPS_MAX, Head, Malformed, head, is_whole, picture, scans
from tests.unit.storage.photo import odd

SOS = b"\xff\xda"


def photo(*, side: int = 96, **options: object) -> bytes:
    """A small JPEG of noise."""
    out = io.BytesIO()
    Image.effect_noise((side, 128), 80).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


def counted(data: bytes) -> int:
    """The scans of a file."""
    return scans(memoryview(data), head(memoryview(data)))


def decoding_s(data: bytes) -> float:
    """The least CPU time of three tries to decode a file with libjpeg, which may fail."""
    tries = []
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(OSError), Image.open(io.BytesIO(data)) as image:
            image.load()
        tries.append(time.process_time() - began)
    return min(tries)


@pytest.mark.parametrize(("progressive", "frame", "many"), [(False, 0xC0, 1), (True, 0xC2, 10)])
def test_frame_size_and_scans_are_read(progressive: bool, frame: int, many: int) -> None:  # noqa: FBT001
    """As Pillow wrote them; nothing is endless."""
    data = photo(progressive=progressive)
    found = head(memoryview(data))

    assert found == Head(frame, 96, 128, data.index(SOS), single=not progressive)
    assert scans(memoryview(data), found) == many


def test_scans_behind_the_end_are_nobodys() -> None:
    """A motion photo's film has bytes that look like scans, and so have comments between scans."""
    data = photo(progressive=True)
    last = data.rfind(SOS)
    comment = b"\xff\xfe\0\x08" + SOS * 2 + b"\0\0"
    film = data[:last] + comment + data[last:] + b"ftypmp42" + SOS * 100

    assert counted(film) == 10


def test_a_scan_cannot_hide_behind_an_end_inside_a_comment() -> None:
    """The end marker in a segment's content ends nothing, as for libjpeg."""
    data = photo(progressive=True)
    last = data.rfind(SOS)
    hidden = data[:last] + b"\xff\xfe\0\4\xff\xd9" + data[last:-2] * 3 + b"\xff\xd9"

    assert counted(hidden) == 12


def fault(data: bytes) -> str:
    """Why the head is malformed; empty if it is not."""
    try:
        head(memoryview(data))
    except Malformed as error:
        return str(error)
    return ""


def test_segments_are_followed_so_far_and_no_further() -> None:
    """Before the first scan; between scans each step counts as one, whatever it is."""
    data = photo(progressive=True)
    comment = odd.segment(0xFE, b"")

    assert fault(odd.behind_magic(data, comment * (STEPS_MAX - 20))) == ""
    assert fault(odd.behind_magic(data, comment * STEPS_MAX)) == f"a JPEG of more than {STEPS_MAX} segments"
    assert counted(data[:-2] + (SOS + b"\0\2") * STEPS_MAX) == STEPS_MAX


@pytest.mark.parametrize("junk", [b"\xff", b"\0", b"\xe1"])
def test_junk_is_skipped_so_far_and_no_further(junk: bytes) -> None:
    """Fill bytes and bytes that belong to no segment, all together, as libjpeg skips any number."""
    data = photo()
    first, second = odd.behind_magic(data, junk * 100), data.index(b"\xff\xdb") + 100
    for more, ends in ((JUNK_BYTES_MAX - 102, ""), (JUNK_BYTES_MAX, "bytes between its segments")):
        found = fault(first[:second] + junk * more + first[second:])
        assert found.endswith(ends)
        assert bool(found) is bool(ends)


def test_a_search_for_markers_is_linear() -> None:
    """A file of nothing but FF costs no more for each byte than the same file at a tenth."""
    costs = []
    for size in (JUNK_BYTES_MAX // 10, JUNK_BYTES_MAX - 10):
        began = time.process_time()
        for _ in range(JUNK_BYTES_MAX * 30 // size):
            fault(b"\xff\xd8" + b"\xff" * size)
        costs.append(time.process_time() - began)

    assert costs[1] < 5 * costs[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12 bits and 3 channels"),
        (lambda data: data.replace(b"\0\x80\0\x60\3", b"\0\x80\0\x60\2"), "8 bits and 2 channels"),
        (lambda data: data.replace(b"\0\x80\0\x60\3", b"\0\0\0\x60\3"), "header cannot be read"),
        (lambda data: data.replace(b"\3\1\x22\0\2", b"\3\1\x32\0\2").replace(b"\2\x11\1", b"\2\x21\1"), "sampling"),
        (lambda data: data.replace(b"\3\1\x22\0\2", b"\3\1\x02\0\2"), "sampling"),
        (lambda data: data.replace(b"\3\1\x22\0\2", b"\3\1\x44\0\2"), "sampling"),
        (lambda data: data.replace(b"\3\1\x22\0\2", b"\3\2\x22\0\2"), "header cannot be read"),
        (lambda data: data.replace(b"\xff\xda\0\x0c\3\1", b"\xff\xda\0\x0c\3\7"), "header lacks"),
        (lambda data: data.replace(b"\xff\xda\0\x0c\3\1\0", b"\xff\xda\0\x0c\3\1\x22"), "Huffman"),
        (lambda data: data.replace(b"\xff\xdb\0\x43\1", b"\xff\xdb\0\x43\2"), "quantisation"),
        (lambda data: data.replace(b"\xff\xdb\0\x43\1", b"\xff\xdb\0\x43\4"), "quantisation"),
        (lambda data: odd.behind_magic(data, odd.segment(0xDD, b"\0")), "restart interval"),
        (lambda data: odd.behind_magic(data, data[data.index(b"\xff\xc0") :][:19]), "two frames"),
        (lambda data: odd.behind_magic(data, b"\xff\xd9"), "without a picture"),
        (lambda data: data.replace(b"\xff\xc0", b"\xff\xe9"), "without a frame"),
        (lambda data: data[: data.index(SOS)], "cut off"),
    ],
)
def test_what_libjpeg_gives_up_on_is_malformed(change: Callable[[bytes], bytes], reason: str) -> None:
    """With the reason; the photo without the change is not."""
    data = photo(subsampling=2)
    changed = change(data)

    assert fault(data) == ""
    assert changed != data
    assert reason in fault(changed)
    with pytest.raises(OSError), Image.open(io.BytesIO(changed)) as image:  # noqa: PT011 - any of Pillow's
        image.load()


def test_a_picture_has_the_segments_that_its_pixels_need() -> None:
    """The same pixels, EXIF and profile; no comment, no preview, nothing behind the end."""
    for options in ({}, {"progressive": True}):
        data = photo(exif=odd.exif(6), icc_profile=b"p" * 70_000, comment=b"hello", **options)
        data = odd.behind_magic(data, odd.segment(0xE5, SOS * 99)) + odd.FILM
        kept = picture(memoryview(data), head(memoryview(data)))
        with Image.open(io.BytesIO(kept)) as image, Image.open(io.BytesIO(data)) as whole:
            assert image.tobytes() == whole.tobytes()
            assert image.info["icc_profile"] == b"p" * 70_000
            assert image.getexif()[odd.ORIENTATION] == 6
        assert b"hello" not in kept


def test_an_end_is_found_wherever_it_is() -> None:
    """At the end, and before a film of any length; not in an EXIF thumbnail."""
    data = photo()
    for more in (b"", odd.FILM, odd.FILM * 10):
        assert is_whole(memoryview(data + more), head(memoryview(data)))
    thumbnailed = odd.behind_magic(data, odd.segment(0xE1, data))
    assert not is_whole(memoryview(thumbnailed[:-2]), head(memoryview(thumbnailed)))


def test_a_decoder_reads_one_scan_where_it_has_all_components() -> None:
    """Sixty repeated scans cost libjpeg nothing behind a sequential one, and much behind a progressive one."""
    for progressive in (False, True):
        data = photo(progressive=progressive, side=900)
        first = data.index(SOS)
        repeated = data[:-2] + data[first:-2] * 60 + b"\xff\xd9"

        assert (counted(repeated) > 60) is progressive
        assert (decoding_s(repeated) > 5 * decoding_s(data)) is progressive
