"""Shared by all charts of bench: the page, and round numbers for an axis. SVG is written without a library."""

import math
from collections.abc import Iterable
from typing import Final

INK: Final = "#0f172a"
FAINT: Final = "#64748b"
GRID: Final = "#e2e8f0"


def page(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """The whole drawing: a white page with a title in its first 30 pixels, and the parts."""
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="{INK}">',
            # A background of its own, so that it is readable on light and dark pages.
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="16" y="26" font-size="16" font-weight="600">{title}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def ticks(least: float, most: float, about: int) -> list[float]:
    """About `about` round numbers from `least` to `most`, at steps of 1, 2 or 5 times a power of ten."""
    span = most - least
    if span <= 0:
        return [least]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    first = math.ceil(least / step - 1e-9)
    return [number * step for number in range(first, math.floor(most / step + 1e-9) + 1)]
