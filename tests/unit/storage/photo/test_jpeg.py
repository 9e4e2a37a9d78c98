"""JPEG markers: the frame that counts, scans inside the picture alone, and no reading without end."""

import contextlib
import io
import time

import pytest
from PIL import Image

from storage.photo.jpeg import STEPS_MAX, Head, head, scans

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


@pytest.mark.parametrize(("segments", "endless"), [(STEPS_MAX - 20, False), (STEPS_MAX, True)])
def test_segments_are_followed_so_far_and_no_further(segments: int, *, endless: bool) -> None:
    """Before the first scan; between scans each step counts as one, whatever it is."""
    data = photo(progressive=True)
    many = data[:2] + b"\xff\xfe\0\2" * segments + data[2:]

    assert head(memoryview(many)).endless is endless
    assert counted(data[:-2] + (SOS + b"\0\2") * STEPS_MAX) == STEPS_MAX


def test_a_decoder_reads_one_scan_where_it_has_all_components() -> None:
    """Sixty repeated scans cost libjpeg nothing behind a sequential one, and much behind a progressive one."""
    for progressive in (False, True):
        data = photo(progressive=progressive, side=900)
        first = data.index(SOS)
        repeated = data[:-2] + data[first:-2] * 60 + b"\xff\xd9"

        assert (counted(repeated) > 60) is progressive
        assert (decoding_s(repeated) > 5 * decoding_s(data)) is progressive
