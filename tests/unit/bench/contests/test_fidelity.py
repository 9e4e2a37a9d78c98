"""bench.contests.fidelity: two measures that agree on what is nearer."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bench.contests.fidelity import psnr, ssim

PICTURE = Image.effect_noise((64, 48), 60).resize((128, 96), Image.Resampling.BICUBIC)


def test_the_same_picture_is_perfect() -> None:
    """SSIM 1, PSNR without end."""
    assert ssim(PICTURE, PICTURE) == pytest.approx(1)
    assert psnr(PICTURE, PICTURE) == math.inf


def test_the_more_blur_the_less_fidelity() -> None:
    """Both fall."""
    blurred = [PICTURE.filter(ImageFilter.GaussianBlur(radius)) for radius in (0.5, 1, 2)]

    for measure in (ssim, psnr):
        found = [measure(one, PICTURE) for one in blurred]
        assert found == sorted(found, reverse=True)


def test_figures_are_those_of_the_definitions() -> None:
    """An error of 5 in every pixel is 34.15 dB; of two flat pictures SSIM compares the means."""
    flat, other = (Image.fromarray(np.full((16, 16), level, np.uint8)) for level in (100, 105))

    assert psnr(flat, other) == pytest.approx(34.15, abs=0.01)
    assert ssim(flat, other) == pytest.approx((2 * 100 * 105 + 6.5025) / (100**2 + 105**2 + 6.5025), abs=1e-4)
