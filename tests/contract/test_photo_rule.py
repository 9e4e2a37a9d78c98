"""One rule for a photo: what a node lets in, whatever its settings, no worker refuses for its type, size or form."""

import io

import pytest
from PIL import Image

from ingest.body.photos import BadPhoto, NotAPhoto, inspect
from ingest.config import Config
from processors.render.decoding import Undecodable, decoded

SECRET = "s" * 32
WIDE_OPEN = {"photo_pixels_max": 10**9, "photo_side_px_min": 1, "photo_side_px_max": 10**6}


def accepts(data: bytes, **settings: int) -> bool:
    """Whether a node with these settings takes the photo."""
    try:
        inspect("front", memoryview(data), "0" * 64, Config(auth_secret=SECRET, **settings).photo_limits)
    except (BadPhoto, NotAPhoto):
        return False
    return True


def renders(data: bytes) -> bool:
    """Whether a worker decodes it."""
    try:
        decoded(data, 320)
    except Undecodable:
        return False
    return True


def picture(kind: str, width: int, height: int) -> bytes:
    """A grey picture of this size, as small as the encoder makes it."""
    out = io.BytesIO()
    options = {"WEBP": {"quality": 1, "method": 0}, "PROGRESSIVE": {"progressive": True}}.get(kind, {})
    Image.new("L", (width, height)).save(out, {"PROGRESSIVE": "JPEG"}.get(kind, kind), **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("JPEG", 8000, 6400),  # 51 MP
        ("JPEG", 20_000, 15_000),  # 300 MP, reduced while they are decoded
        ("PROGRESSIVE", 8000, 6400),
        ("JPEG", 13_000, 100),
        ("JPEG", 100, 13_000),
        ("JPEG", 20, 20),
        ("PNG", 1, 65_500),
        ("JPEG", 65_500, 64),
        ("WEBP", 6250, 6300),  # 39.4 MP
    ],
)
def test_what_raised_limits_let_in_is_rendered(kind: str, width: int, height: int) -> None:
    """The settings are the node's alone: a worker knows only what its memory and its decoders bound."""
    data = picture(kind, width, height)

    assert accepts(data, **WIDE_OPEN)
    assert renders(data)


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [("PROGRESSIVE", 8000, 7000), ("WEBP", 6400, 6200), ("PNG", 1, 65_501), ("PNG", 7200, 7200)],
)
def test_no_setting_lets_in_what_a_worker_cannot_decode(kind: str, width: int, height: int) -> None:
    """Past the memory of a worker, or past what a side may have in any format, the node refuses whatever it is told."""
    data = picture(kind, width, height)

    assert not accepts(data, **WIDE_OPEN)
    assert not renders(data)


@pytest.mark.parametrize(
    "brand",
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"qt  "],
)
def test_node_and_worker_know_the_same_brands(brand: bytes) -> None:
    """Of HEIF files; a file of another brand is no photo to either."""
    data = b"\0\0\0\x18ftyp" + brand + bytes(100)
    try:
        decoded(data, 320)
    except Undecodable as error:
        known_to_worker = "not a JPEG" not in error.reason
    try:
        inspect("front", memoryview(data), "", Config(auth_secret=SECRET).photo_limits)
    except NotAPhoto:
        known_to_node = False
    except BadPhoto:
        known_to_node = True

    assert known_to_worker == known_to_node
