"""The items of a file: what is read of each, and where reading ends."""

import struct

import pytest

from bench.contests.boxes import box, full
from storage.photo.boxes import STEPS_MAX, Extent, boxes, item_of, items, nested
from tests.unit.storage.photo import heifs


def test_boxes_follow_one_another() -> None:
    """Of 32 bits, of 64, and the last one up to the end; what is too short for a box ends them."""
    data = box(b"ftyp", b"heic") + struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd" + b"\0\0\0\0free12"

    found = list(boxes(memoryview(data)))

    assert [(one.name, bytes(one.body)) for one in found] == [(b"ftyp", b"heic"), (b"mdat", b"abcd"), (b"free", b"12")]
    assert found[-1].end == len(data)
    assert not list(boxes(memoryview(b"\0\0\0\7free" + data)))


def test_a_box_in_another_one_ends_with_it() -> None:
    """The last box of a file may be cut off, one in another box may not."""
    data = memoryview(box(b"free", b"12") + box(b"free", b"34"))
    assert len(list(nested(data))) == 2
    assert len(list(boxes(data[:-1]))) == 2
    with pytest.raises(ValueError, match="longer"):
        list(nested(data[:-1]))


def test_as_many_boxes_are_read_as_the_limit_says() -> None:
    """And no more."""
    for count in (STEPS_MAX, STEPS_MAX + 1):
        assert len(list(boxes(memoryview(box(b"free") * count)))) == STEPS_MAX


def test_an_item_has_type_places_properties_and_references() -> None:
    """Each by the number of the item."""
    data = memoryview(heifs.file("HEIF", {**heifs.grid("HEIF"), 8: heifs.exif(6)}, heifs.FOUR, in_idat=[1]))
    meta = next(one for one in boxes(data) if one.name == b"meta")

    found = items({one.name: one.body for one in boxes(meta.body[4:])})

    assert found.primary == 1
    assert found.types == {1: b"grid", **dict.fromkeys((2, 3, 4, 5), b"hvc1"), 8: b"Exif"}
    assert found.extents[1] == [Extent(1, 0, 8)]
    assert bytes(found.idat) == heifs.spec()
    assert bytes(data[found.extents[2][0].start : found.extents[2][0].end]) == heifs.image("HEIF").data
    assert [one.name for one in found.properties[2]] == [b"hvcC", b"ispe"]
    assert found.references == [(b"dimg", 1, tile) for tile in (2, 3, 4, 5)]


@pytest.mark.parametrize(("version", "number"), [(2, b"\0\7"), (3, b"\0\1\0\7")])
def test_items_have_numbers_of_two_or_four_bytes(version: int, number: bytes) -> None:
    """By the version of their entry."""
    entry = full(b"infe", version, number, b"\0\0hvc1\0")
    assert item_of(memoryview(entry)[8:]) == (int.from_bytes(number, "big"), b"hvc1")
    with pytest.raises(ValueError, match="too short"):
        item_of(memoryview(entry)[8:-2])


def test_only_entries_of_items_count() -> None:
    """No other box between them, none beyond their number, no type in an entry of an old version: as in libheif."""
    whole, old = (full(b"infe", version, b"\0\7\0\0hvc1\0") for version in (2, 1))
    iinf = full(
        b"iinf",
        0,
        b"\0\3",
        whole,
        box(b"skip", whole[8:]),
        old.replace(b"\0\7", b"\0\x08"),
        whole.replace(b"\0\7", b"\0\x09"),
    )

    assert items({b"iinf": memoryview(iinf)[8:]}).types == {7: b"hvc1", 8: b""}
