"""Converts a picture whose colour space is given by code points (ITU-T H.273: `nclx` boxes, cICP chunks) to sRGB.

Wide gamut is converted by the matrix of its primaries; what sRGB cannot show is clipped, as lcms does with a profile.
HDR (PQ and HLG of BT.2100) is toned down as Android does when it makes the SDR picture of an Ultra HDR photo: white
of 203 cd/m2 (BT.2408) times a curve of Reinhard over the largest channel (libultrahdr, `globalTonemap`), then the
matrix. PQ is absolute up to 10,000 cd/m2; HLG is displayed at 1,000 with a system gamma of 1.2.

Transfer curves are tables: one of the 256 codes of a channel, and one of 65,536 steps of light.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Numbers = NDArray[np.float32]

# Chromaticities of red, green and blue (H.273, table 2); the white of all three is D65. Others count as BT.709.
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)
BT709 = 1
# Transfer characteristics (H.273, table 3). Others, BT.709's included, are near enough to sRGB's to be shown as such.
LINEAR, SRGB, PQ, HLG = 8, 13, 16, 18
SDR_WHITE = 203.0  # cd/m2
PEAKS = {PQ: 10_000.0, HLG: 1000.0}  # cd/m2
HLG_GAMMA = 1.2
BT2020_LUMINANCE = (0.2627, 0.6780, 0.0593)
STEPS = 65_536
# Pixels converted at once: 3 MB for each intermediate result.
BLOCK = 1 << 18
LEAST = 1e-9  # of light, so that nothing is divided by zero


def converted(image: Image.Image, code_points: tuple[int, int]) -> Image.Image:
    """The RGB picture in sRGB; `code_points` are colour primaries and transfer characteristics."""
    primaries, transfer = code_points
    primaries = primaries if primaries in PRIMARIES else BT709
    transfer = transfer if transfer in {LINEAR, PQ, HLG} else SRGB
    if (primaries, transfer) == (BT709, SRGB):
        return image
    pixels = np.asarray(image).reshape(-1, 3)
    result = np.empty_like(pixels)
    for start in range(0, len(pixels), BLOCK):
        result[start : start + BLOCK] = _block(pixels[start : start + BLOCK], primaries, transfer)
    return Image.frombytes("RGB", image.size, result.tobytes())


def _block(pixels: NDArray[np.uint8], primaries: int, transfer: int) -> NDArray[np.uint8]:
    table = _light(transfer)
    light = [table[pixels[:, channel]] for channel in range(3)]
    if transfer == HLG:
        luminance = np.maximum(_weighed(light, BT2020_LUMINANCE), np.float32(LEAST))
        gain = luminance ** np.float32(HLG_GAMMA - 1) * np.float32(PEAKS[HLG] / SDR_WHITE)
        light = [one * gain for one in light]
    if transfer in PEAKS:
        headroom = PEAKS[transfer] / SDR_WHITE
        largest: Numbers = np.maximum.reduce(light)
        curve = (1 + largest / np.float32(headroom**2)) / (1 + largest)
        light = [one * curve for one in light]
    codes = _codes()
    mixed = [np.clip(_weighed(light, row), 0, 1) * np.float32(STEPS - 1) for row in matrix(primaries)]
    return np.stack([codes[(one + np.float32(0.5)).astype(np.uint16)] for one in mixed], axis=1)


def _weighed(light: list[Numbers], weights: tuple[float, ...] | NDArray[np.float64]) -> Numbers:
    """The weighted sum of the channels. Not a product of matrices, for which numpy would start threads."""
    red, green, blue = (one * np.float32(weight) for one, weight in zip(light, weights, strict=True))
    total: Numbers = red + green + blue
    return total


def matrix(primaries: int) -> NDArray[np.float64]:
    """The matrix from linear light of these primaries to that of sRGB."""
    return np.linalg.inv(_to_xyz(PRIMARIES[BT709])) @ _to_xyz(PRIMARIES[primaries])


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*primaries, D65)]).T
    scaled: NDArray[np.float64] = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    return scaled


@cache
def _light(transfer: int) -> Numbers:
    """The light of each code: 0 to 1, of PQ relative to SDR white; of HLG the light of the scene."""
    code = np.arange(256) / 255
    if transfer == PQ:  # BT.2100, table 4
        power = code ** (1 / 78.84375)
        light = (
            10_000
            / SDR_WHITE
            * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        )
    elif transfer == HLG:  # BT.2100, table 5
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    elif transfer == LINEAR:
        light = code
    else:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def _codes() -> NDArray[np.uint8]:
    """The sRGB code of each step of light (IEC 61966-2-1)."""
    light = np.arange(STEPS) / (STEPS - 1)
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 255 + 0.5).astype(np.uint8)
