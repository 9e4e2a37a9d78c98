"""Colour: every pixel layout ends as plain RGB, every usable profile is honoured, every other one ignored."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from processors.render.colour import PROFILE_BYTES_MAX, PROFILE_CHAIN, flattened, to_srgb

SIZE = (8, 6)
ORANGE = (240, 120, 20)


def srgb() -> bytes:
    """An sRGB profile, as most phones embed it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """A profile whose red is blue and whose blue is red: the two primaries' entries in the tag table are exchanged."""
    profile = bytearray(srgb())
    tags = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12)
    }
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    """Whether the pixel is the colour but for rounding."""
    return isinstance(pixel, tuple) and all(abs(a - b) <= 3 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_what_can_be_resampled_stays(mode: str) -> None:
    """Modes without alpha and palette are left alone."""
    image = Image.new("RGB", SIZE, ORANGE).convert(mode)

    assert flattened(image) is image


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("LA", (90, 255), (90, 90, 90)),
        ("LA", (90, 0), (255, 255, 255)),
        ("RGBA", (*ORANGE, 255), ORANGE),
        ("RGBA", (*ORANGE, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("I", 65535, (255, 255, 255)),
    ],
)
def test_any_mode_ends_as_rgb(mode: str, colour: int | tuple[int, ...], expected: tuple[int, int, int]) -> None:
    """Alpha shows white behind it, and 16 bits keep their tone."""
    image = to_srgb(flattened(Image.new(mode, SIZE, colour)), None)

    assert image.mode == "RGB"
    assert near(image.getpixel((3, 3)), expected)


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    """A 16-bit ramp becomes the 8-bit ramp of its high bytes, even where a colour key comes with it."""
    ramp = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG", transparency=0)

    grey = flattened(Image.open(buffer))

    assert np.array_equal(np.asarray(grey), ramp >> 8)


def test_a_palette_and_its_transparent_entry_are_resolved() -> None:
    """The transparent entry of a palette shows white, the others their colour."""
    image = Image.new("P", (2, 1))
    image.putpalette([*ORANGE, 0, 0, 0])
    image.putdata([0, 1])
    image.info["transparency"] = 1

    opaque = flattened(image)

    assert [opaque.getpixel((x, 0)) for x in (0, 1)] == [ORANGE, (255, 255, 255)]


def test_a_profile_is_honoured() -> None:
    """A photo in a space with red and blue exchanged is shown with them exchanged back."""
    image = to_srgb(Image.new("RGB", SIZE, (220, 30, 60)), swapped())

    assert near(image.getpixel((3, 3)), (60, 30, 220))


def test_a_profile_that_says_srgb_changes_no_pixel() -> None:
    """The identity is found by trying it, and left out."""
    image = Image.effect_noise(SIZE, 60).convert("RGB")

    assert to_srgb(image, srgb()).tobytes() == image.tobytes()


@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 200, srgb()[:300]])
def test_a_broken_profile_counts_as_none(profile: bytes) -> None:
    """The photo is taken as sRGB."""
    assert to_srgb(Image.new("RGB", SIZE, ORANGE), profile).getpixel((0, 0)) == ORANGE


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_another_colour_model_counts_as_none(mode: str) -> None:
    """An RGB profile in a grey or CMYK photo is ignored."""
    image = Image.new("RGB", SIZE, (90, 90, 90)).convert(mode)

    assert near(to_srgb(image, swapped()).getpixel((0, 0)), (90, 90, 90))


def test_a_profile_that_costs_too_much_counts_as_absent() -> None:
    """One with a chain of float elements, and one larger than a press's; lcms never sees them."""
    image = Image.new("RGB", (8, 8), (200, 30, 60))
    profile = swapped()
    assert to_srgb(image, profile).tobytes() != image.tobytes()

    for dear in (profile + PROFILE_CHAIN, profile + bytes(PROFILE_BYTES_MAX)):
        assert to_srgb(image, dear).tobytes() == image.tobytes()
