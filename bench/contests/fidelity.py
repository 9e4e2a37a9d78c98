"""The similarity of a picture to a reference: SSIM and PSNR of their luma (ITU-R BT.601), in numpy.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli (IEEE TIP 13/4, 2004): mean over all 8x8 windows, K1 0.01, K2 0.03.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WINDOW: Final = 8
# K1 = 0.01 and K2 = 0.03 of the paper keep the quotient finite in dark and flat windows.
C1: Final = (0.01 * 255) ** 2
C2: Final = (0.03 * 255) ** 2


def ssim(picture: Image.Image, reference: Image.Image) -> float:
    """SSIM: 1 for identical pictures, lower the more their structure differs; both of one size, at least 8x8."""
    a, b = _luma(picture), _luma(reference)
    mean_a, mean_b = _windows(a), _windows(b)
    variance_a, variance_b = _windows(a * a) - mean_a**2, _windows(b * b) - mean_b**2
    covariance = _windows(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return float((alike / ((mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2))).mean())


def psnr(picture: Image.Image, reference: Image.Image) -> float:
    """PSNR in decibels, higher the more similar; infinite for identical pictures."""
    error = float(((_luma(picture) - _luma(reference)) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _luma(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("L"), dtype=np.float64)


def _windows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of every 8x8 window."""
    # A table of sums: each window costs four look-ups, however large it is.
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    height, width = values.shape[0] - WINDOW + 1, values.shape[1] - WINDOW + 1
    corners = sums[WINDOW:, WINDOW:] - sums[:height, WINDOW:] - sums[WINDOW:, :width] + sums[:height, :width]
    return np.asarray(corners / WINDOW**2)
