"""The ZIP form: any unzip opens it, the tail finds the record, the same entries give the same bytes."""

import io
import random
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import zips

NAMES = ("front.jpg", "back.heic", "receipt.json")


def archive_of(front: bytes, back: bytes, record: bytes) -> bytes:
    """An archive of three entries."""
    return b"".join(zips.pack(dict(zip(NAMES, (front, back, record), strict=True))))


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_what_was_packed_is_unpacked(front: bytes, back: bytes, record: bytes) -> None:
    """All entries come back, also by the standard library's own check."""
    archive = archive_of(front, back, record)

    assert zips.unpack(archive) == dict(zip(NAMES, (front, back, record), strict=True))
    assert zipfile.ZipFile(io.BytesIO(archive)).testzip() is None


@given(
    st.integers(0, 40_000),
    st.integers(0, 40_000),
    st.integers(0, zips.RECORD_BYTES_MAX),
    st.randoms(use_true_random=False),
)
def test_the_tail_finds_the_record_whatever_the_photos(front: int, back: int, size: int, rng: random.Random) -> None:
    """Photos shorter and longer than the tail, a record up to its limit: `last_entry` needs only the last 8 KiB."""
    record = rng.randbytes(size)
    archive = archive_of(rng.randbytes(front), rng.randbytes(back), record)

    assert zips.last_entry(archive[-zips.TAIL_BYTES :], "receipt.json") == record


def test_the_tail_holds_the_longest_record_and_directory() -> None:
    """Eight entries with long names, as a media object has, and a record at its limit still fit."""
    entries = {f"front-composite-{number}.jpg": b"x" * 9000 for number in range(8)}
    record = b"r" * zips.RECORD_BYTES_MAX
    archive = b"".join(zips.pack({**entries, "post.json": record}))

    assert zips.last_entry(archive[-zips.TAIL_BYTES :], "post.json") == record


def test_photos_that_look_like_archives_do_no_harm() -> None:
    """A photo that is itself an archive, end record included, is only bytes."""
    inner = archive_of(b"a", b"b", b'{"inner": 1}')
    archive = archive_of(inner, inner, b'{"outer": 1}')

    assert zips.last_entry(archive[-zips.TAIL_BYTES :], "receipt.json") == b'{"outer": 1}'
    assert zips.unpack(archive)["front.jpg"] == inner


@given(st.lists(st.binary(max_size=500), min_size=1, max_size=8))
def test_offsets_are_where_the_bytes_are(bodies: list[bytes]) -> None:
    """Each entry's offset, computed before packing, is the one in the archive."""
    entries = {f"größe-{number}.jpg": body for number, body in enumerate(bodies)}
    archive = b"".join(zips.pack({**entries, "post.json": b"{}"}))

    for name, offset in zips.data_offsets(entries).items():
        assert archive[offset : offset + len(entries[name])] == entries[name]


def test_the_same_entries_give_the_same_bytes() -> None:
    """No clock, no randomness: a job that runs twice writes the same object."""
    assert archive_of(b"a", b"b", b"c") == archive_of(b"a", b"b", b"c")


def test_it_is_what_the_standard_library_writes() -> None:
    """Header for header, so that whoever reads theirs reads ours."""
    entries = {"front.jpg": b"f" * 999, "größe.heic": b"", "receipt.json": b"{}"}
    theirs = io.BytesIO()
    with zipfile.ZipFile(theirs, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    assert b"".join(zips.pack(entries)) == theirs.getvalue()


def test_packing_copies_no_photo() -> None:
    """The buffers given are among those returned."""
    photo = memoryview(b"photo")

    assert any(part is photo for part in zips.pack({"front.jpg": photo, "receipt.json": b"{}"}))


def test_entries_are_stored_not_compressed() -> None:
    """Photos do not shrink, and ranged reads need them as they are."""
    archive = zipfile.ZipFile(io.BytesIO(archive_of(b"a" * 999, b"b", b"c")))

    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_record_over_its_limit_is_refused() -> None:
    """One byte more than the tail read is sure to find: ValueError that says both numbers."""
    with pytest.raises(ValueError, match="6145 bytes, more than 6144"):
        archive_of(b"", b"", b"x" * (zips.RECORD_BYTES_MAX + 1))


def test_damage_is_damaged_and_nothing_else() -> None:
    """Any byte changed: either the damage is harmless, or it is Damaged, never another error; no photo changes."""
    whole = archive_of(b"front" * 20, b"back" * 20, b"{}" * 20)
    photos = {b"front" * 20, b"back" * 20, b"{}" * 20}
    for position in range(len(whole)):
        for bit in (1, 8, 64, 128):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            try:
                read = zips.unpack(bytes(damaged))
                zips.last_entry(bytes(damaged), "receipt.json")
            except zips.Damaged:
                continue
            assert set(read.values()) <= photos


@pytest.mark.parametrize("cut", [0, 1, 21, 22, 60, 200])
def test_a_cut_archive_is_damaged(cut: int) -> None:
    """Nothing, a part of the end record, a part of the directory."""
    tail = archive_of(b"front", b"back", b"{}")[:cut]

    with pytest.raises(zips.Damaged):
        zips.unpack(tail)
    with pytest.raises(zips.Damaged):
        zips.last_entry(tail, "receipt.json")


def test_an_entry_that_is_not_there_is_damaged() -> None:
    """Asking an intake object for a post record."""
    with pytest.raises(zips.Damaged, match=r"post\.json"):
        zips.last_entry(archive_of(b"a", b"b", b"c"), "post.json")


@given(st.integers(0, 20_000), st.integers(0, 20_000), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_the_tail_tells_where_every_entry_is(front: int, back: int, size: int, rng: random.Random) -> None:
    """Also of entries before the tail, with names that are not ASCII; the CRC is that of the bytes."""
    entries = {"frönt.jpg": rng.randbytes(front), "back.heic": rng.randbytes(back), "receipt.json": rng.randbytes(size)}
    archive = b"".join(zips.pack(entries))

    found = zips.entries(archive[-zips.TAIL_BYTES :])

    assert {one.name: archive[one.offset : one.end] for one in found} == entries
    assert [one.crc for one in found] == [zlib.crc32(data) for data in entries.values()]


def test_places_that_cannot_be_are_damage() -> None:
    """A foreign archive, a directory that was cut or shifted, sizes that do not add up."""
    archive = archive_of(b"f" * 90, b"b" * 90, b"{}")
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("front.jpg", bytes(1000))
    at = archive.index(b"PK\1\2")
    resized = archive[: at + 24] + b"\x50" + archive[at + 25 :]
    for bad in (
        b"",
        b"damaged" * 50,
        archive[:-1],
        archive + b"x",
        resized,
        compressed.getvalue(),
    ):
        with pytest.raises(zips.Damaged):
            zips.entries(bad)
    assert len(zips.entries(archive)) == 3
