"""Handmade HEIF files are files that a decoder takes, unless they are meant to be absurd."""

import io

import pytest
from PIL import Image

from bench.contests import boxes

TILE = boxes.tile(Image.new("RGB", (64, 64), "teal"), 50, 420)


@pytest.mark.parametrize(
    ("columns", "oddities"), [(1, {}), (3, {}), (3, {"shared": 1}), (2, {"turns": 1}), (2, {"copies": 1})]
)
def test_a_grid_is_decoded(columns: int, oddities: dict[str, int]) -> None:
    """Its size is that of all tiles, its colour theirs."""
    image = Image.open(io.BytesIO(boxes.picture(TILE, 64, columns, **oddities))).convert("RGB")

    assert image.size == (64 * columns, 64 * columns)
    middle = image.getpixel((1, 1))
    assert isinstance(middle, tuple)
    assert max(abs(a - b) for a, b in zip(middle, (0, 128, 128), strict=True)) < 8
