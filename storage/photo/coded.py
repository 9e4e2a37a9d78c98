"""What the headers of one coded picture say, whatever its coding, and how their bits are read (`hevc.py`, `av1.py`)."""

import msgspec

# At most this many units (NAL units, OBUs) of one item are read; a picture has at most 600 slices (H.265, table A.8).
UNITS_MAX = 1024


class Unreadable(Exception):
    """No decoder can make a picture of this item."""


class Coded(msgspec.Struct, frozen=True):
    """Size in pixels, the number of units, and of AV1 its format and colours.

    `look`: what all tiles of a grid share; begins with the bits of a sample. `code_points`: primaries, transfer
    characteristics and matrix (H.273). `halved`: whether the chroma is halved across and down.
    """

    width: int
    height: int
    units: int
    look: tuple[int, ...]
    code_points: tuple[int, int, int] = (2, 2, 2)
    halved: tuple[bool, bool] = (True, True)
    full_range: bool = True


class Bits:
    """Numbers of any length in bits, one after another; ValueError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def number(self, size: int) -> int:
        """The next number of `size` bits."""
        self._left -= size
        if self._left < 0:
            raise ValueError("a header is too short")
        return self._value >> self._left & ((1 << size) - 1)

    def flag(self) -> bool:
        """The next bit as a boolean, syntax element u(1) or f(1)."""
        return bool(self.number(1))

    def golomb(self) -> int:
        """The next number in Exp-Golomb code (H.265, 9.2; AV1, 4.10.3: the same code)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        if zeros > 31:
            raise ValueError("a number is too long")
        return (1 << zeros) - 1 + self.number(zeros)
