"""Code points: known colours of each space become the sRGB that the standards and libvips give."""

import io
from typing import cast

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from processors.render.code_points import BLOCK, BT709, HLG, PQ, SRGB, converted, matrix

P3, BT2020 = 12, 9


def lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (D65) of sRGB colours from 0 to 1; independent of the code under test."""
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = light @ to_xyz.T / np.array((0.95047, 1.0, 1.08883))
    cubed = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack((116 * cubed[:, 1] - 16, 500 * (cubed[:, 0] - cubed[:, 1]), 200 * (cubed[:, 1] - cubed[:, 2])), 1)


def differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The CIE76 difference of each colour."""
    apart: NDArray[np.float64] = np.linalg.norm(lab(one) - lab(other), axis=1)
    return apart


def colours() -> NDArray[np.uint8]:
    """Random colours and a ramp of greys."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.concatenate((np.random.default_rng(1).integers(0, 256, (9744, 3), dtype=np.uint8), ramp))


def of_a_grey(code: int, code_points: tuple[int, int]) -> int:
    """What a grey becomes: a grey."""
    image = converted(Image.new("RGB", (1, 1), (code, code, code)), code_points)
    red, green, blue = cast("tuple[int, int, int]", image.getpixel((0, 0)))
    assert max(red, green, blue) - min(red, green, blue) <= 1
    return green


def test_display_p3_is_what_libvips_makes_of_its_profile() -> None:
    """Code points 12 and 13 are Display P3: the same colours as with libvips' own P3 profile, CIE76 below 3."""
    pixels = colours().reshape(100, 100, 3)
    shown = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    reference = shown.icc_transform("srgb", input_profile="p3", intent="relative").numpy()
    found = np.asarray(converted(Image.fromarray(pixels), (P3, SRGB)))
    apart = differences(found.reshape(-1, 3) / 255, reference.reshape(-1, 3) / 255)

    assert apart.mean() < 1
    assert np.quantile(apart, 0.99) < 3


@pytest.mark.parametrize("code_points", [(1, 13), (1, 1), (2, 2), (5, 6), (0, 0), (65_535, 65_535)])
def test_srgb_and_what_is_unknown_stay_as_they_are(code_points: tuple[int, int]) -> None:
    """The very same picture."""
    image = Image.new("RGB", (2, 2), "teal")

    assert converted(image, code_points) is image


def test_matrices_are_those_of_the_standards() -> None:
    """BT.2087, table 4, and white stays white."""
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]

    assert matrix(BT2020) == pytest.approx(np.array(expected), abs=1e-4)
    for primaries in (BT709, P3, BT2020):
        assert matrix(primaries).sum(axis=1) == pytest.approx(np.ones(3))


@pytest.mark.parametrize(
    ("transfer", "code", "light"),
    [
        # BT.2408, table 1: HDR reference white, 203 cd/m2, is 58 % in PQ and 75 % in HLG; light relative to it is 1.
        (PQ, 0.58, 1.0),
        (HLG, 0.75, 1.0),
        # BT.2408, table 1: 26 cd/m2, an 18 % grey card, is 38 % in PQ and in HLG.
        (PQ, 0.38, 26 / 203),
        (HLG, 0.38, 26 / 203),
        (PQ, 0.0, 0.0),
        (HLG, 0.0, 0.0),
        (PQ, 1.0, 10_000 / 203),
        (HLG, 1.0, 1000 / 203),
    ],
)
def test_greys_of_hdr_are_toned_by_the_documented_curve(transfer: int, code: float, light: float) -> None:
    """Reinhard with a headroom of 10,000 or 1,000 over 203 cd/m2, as in libultrahdr, then sRGB's curve."""
    headroom = (10_000 if transfer == PQ else 1000) / 203
    toned = light * (1 + light / headroom**2) / (1 + light)
    expected = 1.055 * toned ** (1 / 2.4) - 0.055 if toned else 0.0

    assert of_a_grey(round(code * 255), (BT2020, transfer)) == pytest.approx(expected * 255, abs=3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_is_never_darker(transfer: int) -> None:
    """Of a ramp of greys."""
    ramp = [of_a_grey(code, (BT2020, transfer)) for code in range(256)]

    assert ramp == sorted(ramp)


@pytest.mark.parametrize(("transfer", "code"), [(PQ, 160), (HLG, 200)])
def test_hdr_colours_keep_their_hue(transfer: int, code: int) -> None:
    """All channels are toned by the factor of the largest."""
    bright = Image.new("RGB", (1, 1), (code, code * 3 // 4, code * 2 // 3))
    red, green, blue = cast("tuple[int, int, int]", converted(bright, (BT2020, transfer)).getpixel((0, 0)))

    assert red > green > blue > 0


def test_a_picture_of_several_blocks_is_as_its_parts() -> None:
    """Pixels are converted in blocks."""
    pixels = np.random.default_rng(1).integers(0, 256, (BLOCK // 256 + 9, 256, 3), dtype=np.uint8)
    whole = np.asarray(converted(Image.fromarray(pixels), (BT2020, HLG)))
    last = np.asarray(converted(Image.fromarray(pixels[-20:]), (BT2020, HLG)))

    assert (whole[-20:] == last).all()


def test_a_picture_keeps_its_size_and_mode() -> None:
    """And can be saved."""
    out = io.BytesIO()
    image = converted(Image.new("RGB", (20, 30), "red"), (BT2020, HLG))
    image.save(out, "JPEG")

    assert (image.mode, image.size) == ("RGB", (20, 30))
