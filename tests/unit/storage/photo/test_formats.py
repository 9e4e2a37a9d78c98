"""What a photo may be: formats by their first bytes, sides and pixels from both sides of each limit."""

import pytest

from storage.photo.formats import (
    ANY_SIDE_PX_MAX,
    AVIF_BRANDS,
    DECODABLE,
    DECODE_BYTES,
    HEIF_BRANDS,
    REDUCED_PIXELS_MAX,
    REDUCTION_MAX,
    Limits,
    format_of,
    webp_size,
)

BOUNDED = Limits(pixels_max=20_000, side_px_min=64, side_px_max=300)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\xff\xd8\x00", None),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\x89PNG\n", None),
        (b"RIFF\0\0\0\0WEBP", "webp"),
        (b"RIFF\0\0\0\0AVI ", None),
        *((b"\0\0\0\x18ftyp" + brand, "heif") for brand in sorted(HEIF_BRANDS)),
        *((b"\0\0\0\x18ftyp" + brand, "avif") for brand in sorted(AVIF_BRANDS)),
        (b"\0\0\0\x18ftypqt  ", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_a_format_is_known_by_its_first_bytes(start: bytes, kind: str | None) -> None:
    """And by nothing else."""
    assert format_of(start) == kind


def test_pixels_and_sides_are_limited_from_both_sides() -> None:
    """The limit is accepted, one more or one less is not, and the sentence names it."""
    assert BOUNDED.fault("png", 100, 200) is None
    assert BOUNDED.fault("png", 100, 201) == "100x201 pixels, which are 0 megapixels; the limit for PNG is 0"
    assert BOUNDED.fault("jpeg", 64, 300) is None
    assert BOUNDED.fault("jpeg", 63, 300) == "63x300 pixels; a side must have 64 to 300"
    assert BOUNDED.fault("jpeg", 301, 64) == "301x64 pixels; a side must have 64 to 300"


def test_each_format_ends_where_its_memory_does() -> None:
    """The limit is the lesser of the pixels and of what the decoder's memory is enough for."""
    webp = Limits(pixels_max=100_000, decode_bytes_max=120 * 160 * DECODE_BYTES["webp"])
    tighter = Limits(pixels_max=100_000, decode_bytes_max=webp.decode_bytes_max - 1)

    assert webp.fault("webp", 120, 160) is None
    assert tighter.fault("webp", 120, 160) == "120x160 pixels, which are 0 megapixels; the limit for WebP is 0"
    assert tighter.fault("png", 120, 160) is None


def test_phones_largest_photos_are_within_the_default_limits() -> None:
    """200 MP and panoramas as JPEG; 50 MP in every format but WebP and AVIF, whose decoders take more memory."""
    limits = Limits()
    assert limits.fault("jpeg", 16_320, 12_240, streamed=True) is None
    assert limits.fault("jpeg", 65_500, 3000, streamed=True) is None
    assert {kind for kind in DECODE_BYTES if limits.most(kind) >= 50_000_000} == {"jpeg", "png", "heif"}
    assert 39e6 < limits.most("webp") < 40e6
    assert limits.fault("jpeg", 8000, 7000) == (
        "8000x7000 pixels, which are 56 megapixels; the limit for a JPEG of several scans is 55.9"
    )


def test_a_jpeg_that_is_reduced_while_it_is_decoded_needs_memory_for_the_result() -> None:
    """A 64th of its pixels, if there is memory for 16 MP, which a smaller one may need; else as any other."""
    enough = REDUCED_PIXELS_MAX * DECODE_BYTES["jpeg"]
    open_wide = Limits(pixels_max=10**12, decode_bytes_max=enough)
    tight = Limits(pixels_max=10**12, decode_bytes_max=enough - 12)

    assert open_wide.most("jpeg", streamed=True) == REDUCTION_MAX * REDUCED_PIXELS_MAX
    assert tight.most("jpeg", streamed=True) == tight.most("jpeg") == REDUCED_PIXELS_MAX - 1


def test_no_limits_are_wider_than_what_can_be_decoded() -> None:
    """Whatever the settings say, what passes them passes the worker's."""
    open_wide = Limits(pixels_max=10**12, side_px_min=1, side_px_max=10**9)
    for kind, each in DECODE_BYTES.items():
        most = open_wide.decode_bytes_max // each
        sides = ((most // 9000, 9000), (most // 9000 + 1, 9000), (1, ANY_SIDE_PX_MAX), (1, ANY_SIDE_PX_MAX + 1))
        for width, height in sides:
            assert (open_wide.fault(kind, width, height) is None) == (DECODABLE.fault(kind, width, height) is None)
    assert DECODABLE.fault("png", 1, ANY_SIDE_PX_MAX) is None
    assert DECODABLE.fault("png", 1, ANY_SIDE_PX_MAX + 1) == "1x65501 pixels; a side must have 1 to 65500"


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (b"RIFF____WEBPVP8 ____\0\0\0\x9d\1\x2a\x60\x40\x80\xc0", (96, 128)),
        (b"RIFF____WEBPVP8 ____\0\0\0\x9d\1\x2b\x60\x40\x80\xc0", None),
        (b"RIFF____WEBPVP8L____\x2f\x5f\xc0\x1f\0_____", (96, 128)),
        (b"RIFF____WEBPVP8L____\x2e\x5f\xc0\x1f\0_____", None),
        (b"RIFF____WEBPVP8X____\0\0\0\0\x5f\0\0\x7f\0\0", (96, 128)),
        (b"RIFF____WEBPVP8X____\0\0\0\0\x5f\0\0\x7f\0", None),
        (b"RIFF____WEBPICCP____\0\0\0\0\x5f\0\0\x7f\0\0", None),
    ],
)
def test_a_webps_size_is_in_its_first_bytes(start: bytes, size: tuple[int, int] | None) -> None:
    """Lossy, lossless and extended."""
    assert webp_size(start) == size
