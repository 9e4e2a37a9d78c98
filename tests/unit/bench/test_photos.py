"""Photos for replays: real JPEGs, of the size asked for, unique, with a phone's EXIF."""

import hashlib
import io

import pytest
from PIL import Image

from bench.photos import COMMENT_BYTES_MAX, Gallery, comment_offset, fill

SEED = 1


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    """The small steps only, to be quick."""
    print("seed", SEED)  # noqa: T201 -- tests print their seed
    return Gallery(SEED, 40_000)


@pytest.mark.parametrize("size", [60_000, 90_001, 110_000, 250_000])
def test_a_photo_has_the_size_asked_for_and_decodes(gallery: Gallery, size: int) -> None:
    """To the byte, whatever number of comment segments that takes."""
    data = gallery.photo("7", "front", size)

    assert len(data) == size
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == "JPEG"
        assert min(image.size) >= 720


def test_a_size_below_the_smallest_base_gives_the_smallest(gallery: Gallery) -> None:
    """Its size then differs."""
    assert len(gallery.photo("7", "front", 10)) == gallery.smallest_bytes


def test_a_photo_is_unique_to_its_key_and_repeatable(gallery: Gallery) -> None:
    """Digest per key; the same key gives the same bytes."""
    photos = [gallery.photo(str(number), side, 10) for number in range(100) for side in ("front", "back")]

    assert len({hashlib.sha256(photo).digest() for photo in photos}) == 200
    assert gallery.photo("1", "front", 50_000) == gallery.photo("1", "front", 50_000)


def test_a_photo_tells_where_it_was_taken_until_somebody_strips_it(gallery: Gallery) -> None:
    """EXIF with GPS stands before the comments, and one step lies sideways."""
    found = []
    for size in (gallery.smallest_bytes, 60_000):
        with Image.open(io.BytesIO(gallery.photo("1", "front", size))) as image:
            tags = image.getexif()
            assert tags.get_ifd(0x8825)[1] == "N"
            assert tags[0x010F] == "Snapsurge"
            found.append((tags[0x0112], image.width < image.height))
    assert found == [(1, True), (6, False)]


def test_a_photo_of_20_kb_has_20_kb(gallery: Gallery) -> None:
    """As few bytes as traces of bad uplinks have."""
    assert gallery.smallest_bytes <= 20_000
    assert len(gallery.photo("7", "back", 20_000)) == 20_000


def test_a_larger_limit_renders_larger_pictures() -> None:
    """Only as many steps are rendered as the sizes need."""
    with Image.open(io.BytesIO(Gallery(SEED, 70_000).photo("1", "front", 70_000))) as image:
        assert max(image.size) > 960


@pytest.mark.parametrize("size", [20, 21, COMMENT_BYTES_MAX + 4, *range(COMMENT_BYTES_MAX + 5, COMMENT_BYTES_MAX + 12)])
def test_comments_fill_exactly(size: int) -> None:
    """Also where the last segment would have no room for its head."""
    import random  # noqa: PLC0415 -- only here

    filling = fill(random.Random(SEED), size)
    at = 0
    while at < size:
        assert filling[at : at + 2] == b"\xff\xfe"
        at += 2 + int.from_bytes(filling[at + 2 : at + 4], "big")

    assert at == size == len(filling)


def test_comments_go_behind_the_last_app_segment() -> None:
    """Whatever their number is."""
    assert comment_offset(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xe1\x00\x03c\xff\xdb") == 13


def test_front_and_back_show_different_pictures(gallery: Gallery) -> None:
    """So that a composite shows which is which."""
    with (
        Image.open(io.BytesIO(gallery.photo("1", "front", 10))) as front,
        Image.open(io.BytesIO(gallery.photo("1", "back", 10))) as back,
    ):
        assert front.tobytes() != back.tobytes()
