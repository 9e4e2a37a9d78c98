"""HEVC headers: the size of what x265 encodes, units that are whole, parameter sets that are there."""

import struct
import time

import pytest

from storage.photo.coded import UNITS_MAX, Coded, Unreadable
from storage.photo.hevc import config, picture
from tests.unit.storage.photo import heifs


def read(configuration: bytes, data: bytes) -> Coded:
    """The headers of an item, given its `hvcC` box with its header."""
    return picture(config(memoryview(configuration)[8:]), memoryview(data))


def unit(content: bytes) -> bytes:
    """A unit behind its length."""
    return struct.pack(">I", len(content)) + content


@pytest.mark.parametrize("size", [(64, 64), (80, 64), (98, 66), (512, 384)])
@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_the_size_is_that_of_the_picture(size: tuple[int, int], chroma: int) -> None:
    """Not that of its blocks: the conformance window is taken off, in units of the chroma format."""
    found = read(*heifs.coded("HEIF", size, chroma=chroma))

    assert (found.width, found.height, found.units) == (*size, 1)


def test_a_picture_is_whole_or_unreadable() -> None:
    """Cut at any byte, with nothing but zeros, twice, or with units behind it."""
    configuration, data = heifs.coded("HEIF")
    assert read(configuration, data + unit(b"\x50\1\x80")).units == 2  # a suffix of messages
    for wrong in (b"", *(data[:end] for end in range(1, len(data))), bytes(len(data)), data * 2, data + bytes(8)):
        with pytest.raises(Unreadable):
            read(configuration, wrong)


def test_a_picture_needs_its_parameter_sets() -> None:
    """And is one that needs no other picture."""
    configuration, data = heifs.coded("HEIF")
    assert data[4:7] == b"\x28\1\xaf"
    for content in (b"\x02\1" + data[6:], b"\x28\1\x88" + data[7:], b"\x28\x09" + data[6:], b"\x28\1\x2f" + data[7:]):
        with pytest.raises(Unreadable):  # another kind, another number, another layer, no first slice
            read(configuration, unit(content + bytes(20)))
    for kind in (33, 34):
        at = configuration.index(bytes((kind << 1, 1)))
        with pytest.raises(Unreadable):
            read(configuration[:at] + b"\x4e" + configuration[at + 1 :], data)


def test_a_configuration_cut_at_any_byte_is_unreadable() -> None:
    """Nor one of other lengths, or of another format than its parameter sets."""
    configuration, data = heifs.coded("HEIF")
    start = 8
    for end in range(start, len(configuration)):
        with pytest.raises(Unreadable):
            read(configuration[:end], data)
    for at, value in ((16, 0xFE), (17, 0xFA), (18, 0xFA), (21, 0x0D)):
        with pytest.raises(Unreadable):
            read(configuration[: start + at] + bytes((value,)) + configuration[start + at + 1 :], data)


def test_parameter_sets_in_an_item_have_the_same_size() -> None:
    """A decoder would take them instead of those of the box."""
    configuration, data = heifs.coded("HEIF")
    larger, _ = heifs.coded("HEIF", (512, 384))
    same, other = (_sequence(one) for one in (configuration, larger))

    assert read(configuration, unit(same) + data).width == 80
    with pytest.raises(Unreadable):
        read(configuration, unit(other) + data)


def _sequence(configuration: bytes) -> bytes:
    at = configuration.index(b"\x42\1\1") - 2
    return configuration[at + 2 : at + 2 + int.from_bytes(configuration[at : at + 2], "big")]


def test_units_are_read_so_far_and_no_further() -> None:
    """Neither in an item nor in a box; 16 MB of units cost no more than the limit of them."""
    configuration, data = heifs.coded("HEIF")
    small = unit(b"\x50\1\x80")
    assert read(configuration, data + small * (UNITS_MAX - 1)).units == UNITS_MAX
    began = time.process_time()
    for _ in range(10):
        with pytest.raises(Unreadable):
            read(configuration, data + small * UNITS_MAX)
    control = time.process_time() - began
    many = data + small * (2 << 20)
    sets = configuration[:30] + b"\xff" + (b"\x20\xff\xff" + b"\0\1\x4e" * 65_535) * 30
    began = time.process_time()
    for one in ((configuration, many), (sets, data)):
        with pytest.raises(Unreadable):
            read(*one)
    assert time.process_time() - began < 5 * control
