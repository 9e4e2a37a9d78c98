"""Bits of headers: numbers of any length, Exp-Golomb code, and the end of the data."""

import pytest

from storage.photo.coded import Bits


def test_numbers_are_read_one_after_another() -> None:
    """Of 1 bit or of 64, across bytes, the highest bit first."""
    bits = Bits(b"\xa5\x00\xff" + bytes(7) + b"\x01")

    assert (bits.flag(), bits.number(3), bits.number(0), bits.number(4), bits.number(16)) == (True, 2, 0, 5, 255)
    assert bits.number(64) == 1
    with pytest.raises(ValueError, match="too short"):
        bits.flag()


@pytest.mark.parametrize(
    ("code", "value"), [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("0" * 31 + "1" * 32, 2**32 - 2)]
)
def test_golomb_codes_are_those_of_the_standard(code: str, value: int) -> None:
    """H.265, table 9-2."""
    padded = code.ljust(-(-len(code) // 8) * 8, "0")

    assert Bits(int(padded, 2).to_bytes(len(padded) // 8, "big")).golomb() == value


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\x08", bytes(40) + b"\xff"])
def test_a_golomb_code_without_end_is_an_error(data: bytes) -> None:
    """Cut off, or longer than any number."""
    with pytest.raises(ValueError, match=r"too (short|long)"):
        Bits(data).golomb()
