"""What a node says of a photo: the judge's answer, in words for the client. The judge has its own tests."""

import io

import pytest
from PIL import Image

from ingest.body.photos import BadPhoto, NotAPhoto, inspect
from storage.photo.formats import Limits
from storage.photo.jpeg import STEPS_MAX
from storage.records import Photo
from tests.unit.storage.photo import odd


def test_an_accepted_photo_is_described() -> None:
    """By format, sides, length, and the digest that was given."""
    data = odd.written("PNG")

    known = Photo(sha256="0" * 64, bytes=len(data), width=96, height=128, format="png")
    assert inspect("front", memoryview(data), "0" * 64, Limits()) == known


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", BadPhoto, "the back photo is empty"),
        (b"hello", NotAPhoto, "the back photo is not a JPEG, PNG, WebP, HEIC or AVIF image"),
        (odd.written("JPEG")[:-1], BadPhoto, "the back photo is cut off: its end is missing"),
    ],
)
def test_a_refusal_is_a_sentence(data: bytes, error: type[Exception], text: str) -> None:
    """About the side that is at fault."""
    with pytest.raises(error) as refused:
        inspect("back", memoryview(data), "", Limits())
    assert str(refused.value) == text


def test_a_header_is_read_so_far_and_no_further() -> None:
    """Millions of empty segments would keep a node from its other uploads."""
    few, many = (odd.behind_magic(odd.written("JPEG"), odd.segment(0xFE, b"") * n) for n in (STEPS_MAX - 20, STEPS_MAX))

    assert inspect("front", memoryview(few), "", Limits()).width == 96
    with pytest.raises(BadPhoto, match="segments"):
        inspect("front", memoryview(many), "", Limits())


def test_a_size_is_refused_with_its_limit() -> None:
    """And the size that was found."""
    webp = io.BytesIO()
    Image.new("L", (6000, 6600)).save(webp, "webp", quality=1, method=0)
    with pytest.raises(BadPhoto) as refused:
        inspect("front", memoryview(webp.getvalue()), "", Limits())
    limit = "the front photo is 6000x6600 pixels, which are 39.6 megapixels; the limit for WebP is 39.5"
    assert str(refused.value) == limit
