"""What stands where a pair was deleted: its form, and that nothing else is ever so short."""

import io
import zipfile

import msgspec
import pytest

from storage import intake, media, tombstones, zips
from storage.records import Photo, Photos, Receipt, accepted, attempt_id
from storage.tombstones import SIZE, Tombstone, pack, tombstone_in

SMALLEST = Photo(sha256="0" * 64, bytes=1, width=64, height=64, format="png")
RECEIPT = Receipt(
    id="a" * 26 + "-a",
    moment_id="a",
    user_id="a",
    received_at="2026-01-31T12:00:00.000Z",
    closes_at="2026-01-31T12:02:00.000Z",
    request_id="a",
    photos=Photos(front=SMALLEST, back=SMALLEST),
)


def test_a_tombstone_is_read_back_and_any_unzip_opens_it() -> None:
    """One entry that names the deletion; all of them are equally long."""
    for at_ms in (0, 1_769_860_800_000, 99_999_999_999_999):
        tombstone = Tombstone(attempt_id(at_ms, b"0123456789"))
        body = pack(tombstone)

        assert (len(body), tombstone_in(body)) == (SIZE, tombstone)
        with zipfile.ZipFile(io.BytesIO(body)) as opened:
            assert opened.namelist() == [tombstones.ENTRY]


def test_no_pair_and_no_rendition_is_so_short() -> None:
    """Not the smallest that there can be: a listing tells them apart by their lengths alone."""
    pair = b"".join(intake.pack(RECEIPT, b"", b""))
    _, rejected = media.pack(msgspec.structs.replace(accepted(RECEIPT), state="rejected", reason=""), {})

    assert min(len(pair), len(rejected)) > 2 * SIZE
    assert (tombstone_in(pair), tombstone_in(rejected), tombstone_in(b"rubbish")) == (None, None, None)


@pytest.mark.parametrize("body", [bytes(SIZE), b"".join(zips.pack({tombstones.ENTRY: b"{}"})).ljust(SIZE, b"x")])
def test_what_is_as_long_and_no_tombstone_is_damaged(body: bytes) -> None:
    """Nobody takes rubbish for a deletion."""
    with pytest.raises(zips.Damaged):
        tombstone_in(body)
