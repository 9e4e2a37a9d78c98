"""The intake object: photos and receipt in one ZIP, read whole or by its tail."""

import io
import zipfile
from collections.abc import Callable

import msgspec
import pytest

from storage import intake, zips
from storage.records import Receipt


def test_a_pair_comes_back_as_it_went(make_receipt: Callable[..., Receipt]) -> None:
    """Both photos byte by byte, and the receipt."""
    receipt = make_receipt()
    found = intake.unpack(b"".join(intake.pack(receipt, b"front", b"back")))

    assert found == intake.Intake(receipt, b"front", b"back")


def test_ops_find_named_photos_in_it(make_receipt: Callable[..., Receipt]) -> None:
    """Entries are named after side and format, the receipt last, and any unzip finds them sound."""
    archive = zipfile.ZipFile(io.BytesIO(b"".join(intake.pack(make_receipt(), b"front", b"back"))))

    assert archive.namelist() == ["front.jpg", "back.png", "receipt.json"]
    assert archive.testzip() is None


def test_the_receipt_is_in_the_tail(make_receipt: Callable[..., Receipt]) -> None:
    """Of an object of 200 KB the last 8 KiB are enough."""
    archive = b"".join(intake.pack(make_receipt(), b"f" * 100_000, b"b" * 100_000))

    assert intake.receipt_in(archive[-zips.TAIL_BYTES :]) == make_receipt()


def test_the_same_pair_gives_the_same_bytes(make_receipt: Callable[..., Receipt]) -> None:
    """Nothing in the object depends on when or where it was packed."""
    assert b"".join(intake.pack(make_receipt(), b"f", b"b")) == b"".join(intake.pack(make_receipt(), b"f", b"b"))


def test_a_clients_words_of_four_kib_fit(make_receipt: Callable[..., Receipt]) -> None:
    """`meta` at its limit, beside a long user id, is found again byte for byte."""
    meta = b'{"caption": "' + b"x" * (4096 - 15) + b'"}'
    receipt = msgspec.structs.replace(make_receipt(user="u" * 256), meta=msgspec.Raw(meta))
    found = intake.receipt_in(b"".join(intake.pack(receipt, b"f" * 9000, b"b"))[-zips.TAIL_BYTES :])

    assert bytes(found.meta) == meta


def test_a_receipt_over_its_limit_is_refused(make_receipt: Callable[..., Receipt]) -> None:
    """Rather a ValueError now than a receipt that the tail read cannot find."""
    with pytest.raises(ValueError, match="more than 6144"):
        b"".join(intake.pack(msgspec.structs.replace(make_receipt(), user_id="u" * 6144), b"", b""))


@pytest.mark.parametrize(
    "entries",
    [
        {"front.jpg": b"", "receipt.json": b"{}"},
        {"front.jpg": b"", "back.jpg": b"", "receipt.json": b"{}"},
        {"front.jpg": b"", "back.jpg": b"", "receipt.json": b"no json"},
        {"front.jpg": b"", "back.jpg": b"", "post.json": b"{}"},
    ],
)
def test_another_archive_is_damaged(entries: dict[str, bytes]) -> None:
    """A photo is missing, the receipt is no receipt, or there is none."""
    archive = b"".join(zips.pack(entries))

    with pytest.raises(zips.Damaged):
        intake.unpack(archive)
    with pytest.raises(zips.Damaged):
        intake.receipt_in(archive)


def test_a_changed_photo_is_damaged(make_receipt: Callable[..., Receipt]) -> None:
    """One bit of a photo's bytes: the entry's CRC tells."""
    archive = bytearray(b"".join(intake.pack(make_receipt(), b"front" * 100, b"back")))
    archive[100] ^= 1

    with pytest.raises(zips.Damaged):
        intake.unpack(bytes(archive))
