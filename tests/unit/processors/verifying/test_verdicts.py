"""What is compared, and what is not a difference."""

import hashlib
from typing import Any

import msgspec
import pytest

from processors.verifying.verdicts import Damage, Stale, Verified, differences, receipt_of, record_of
from storage import intake, keys, media
from storage.index import Counts
from storage.records import Photo, Photos, Post, Receipt, accepted, flagged

MOMENT = "eu-20260131-abcdefgh"
FRONT, BACK = b"front photo", b"back photo"


def shot(data: bytes) -> Photo:
    """The description of these bytes."""
    return Photo(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), width=64, height=64, format="jpeg")


RECEIPT = Receipt(
    id=keys.post_id(MOMENT, "ann"),
    moment_id=MOMENT,
    user_id="ann",
    received_at="2026-01-31T12:00:01.000Z",
    closes_at="2026-01-31T12:02:00.000Z",
    request_id="",
    attempt="1" * 32,
    photos=Photos(front=shot(FRONT), back=shot(BACK)),
)
POST = msgspec.structs.replace(flagged(accepted(RECEIPT), RECEIPT.late_by_ms), state="ready")


def packed(receipt: Receipt = RECEIPT, front: bytes = FRONT) -> bytes:
    """An intake object."""
    return b"".join(map(bytes, intake.pack(receipt, front, BACK)))


def rendered(post: Post = POST) -> bytes:
    """A media object."""
    return media.pack(post, {"front-thumb": media.Image(b"thumb", 1, 1), "composite": media.Image(b"both", 1, 1)})[1]


def test_whole_objects_pass() -> None:
    """A pair, a bare receipt, renditions."""
    assert receipt_of(MOMENT, RECEIPT.id, packed()) == RECEIPT
    bare = b"".join(map(bytes, intake.pack_bare(RECEIPT)))
    assert receipt_of(MOMENT, RECEIPT.id, bare) == RECEIPT
    assert record_of(RECEIPT, rendered()).state == "ready"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"user_id": "ben"}, "another post id"),
        ({"moment_id": "eu-20260131-bbbbbbbb"}, "another post id"),
        ({"photos": Photos(front=shot(b"other"), back=shot(BACK))}, "the front photo has 11 bytes"),
        ({"photos": Photos(front=shot(FRONT), back=shot(b"BACK photo"))}, "the back photo has 10 bytes"),
    ],
)
def test_a_receipt_that_does_not_fit_is_damage(change: dict[str, Any], said: str) -> None:
    """Of another user, another moment, or other photos, in a whole archive."""
    with pytest.raises(Damage, match=said):
        receipt_of(MOMENT, RECEIPT.id, packed(msgspec.structs.replace(RECEIPT, **change)))


def test_no_byte_of_an_object_can_change_unseen() -> None:
    """Every byte of the photos, the renditions and both records; ZIP fields that no reader uses are not content."""
    for archive, contents, check in (
        (packed(), [FRONT, BACK], lambda one: receipt_of(MOMENT, RECEIPT.id, one)),
        (rendered(), [b"thumb", b"both"], lambda one: record_of(RECEIPT, one)),
    ):
        for content in contents:
            start = archive.index(content)
            for at in range(start, start + len(content)):
                spoilt = bytearray(archive)
                spoilt[at] ^= 1
                with pytest.raises(Damage):
                    check(bytes(spoilt))
        with pytest.raises(Damage):
            check(archive[:-30])
        with pytest.raises(Damage):
            check(b"")


@pytest.mark.parametrize("change", [{"received_at": "2026-01-31T12:00:02.000Z"}, {"late_by_ms": 5}, {"user_id": "ben"}])
def test_a_record_that_does_not_fit_its_receipt_is_damage(change: dict[str, Any]) -> None:
    """The receipt decides."""
    with pytest.raises(Damage):
        record_of(RECEIPT, rendered(msgspec.structs.replace(POST, **change)))


def test_renditions_of_another_attempt_are_stale_not_damaged() -> None:
    """The user deleted and posted again, and the render is on its way."""
    with pytest.raises(Stale):
        record_of(RECEIPT, rendered(msgspec.structs.replace(POST, attempt="2" * 32)))


def test_a_flag_that_is_missing_is_no_difference() -> None:
    """Everything else is, by its name."""
    assert differences(msgspec.structs.replace(POST, late=None, late_by_ms=None), POST) == []
    assert differences(POST, POST) == []
    assert differences(msgspec.structs.replace(POST, late_by_ms=7), POST)[0].startswith("late_by_ms 7 instead of")
    assert differences(msgspec.structs.replace(POST, state="rejected"), POST) == ["state rejected instead of ready"]


@pytest.mark.parametrize(
    ("pending", "kinds", "index", "agrees"),
    [
        (0, (), {"accepted": 2, "ready": 2, "on_time": 2}, True),
        (0, (), {"accepted": 2, "ready": 2, "on_time": 1}, False),
        (1, (), {"accepted": 3, "ready": 2, "on_time": 3, "pending": 1}, True),
        (1, (), {"accepted": 3, "ready": 3, "on_time": 3}, True),
        (1, (), {"accepted": 3, "ready": 1, "on_time": 3, "pending": 2}, False),
        (1, (), {"accepted": 3, "ready": 3, "rejected": 1, "on_time": 3}, False),
        (1, (), {"accepted": 2, "ready": 2, "on_time": 2}, False),
        (0, ("damaged",), {"accepted": 2}, True),
        (0, ("damaged",), {"accepted": 1}, False),
    ],
)
def test_counts_agree(pending: int, kinds: tuple[Any, ...], index: dict[str, int], *, agrees: bool) -> None:
    """Flags and voided renditions may be ahead; posts that are findings themselves are not told twice."""
    found = Verified(moment=MOMENT, posts=2 + pending)
    found.store = Counts(accepted=2 + pending, ready=2, on_time=2, pending=pending)
    for kind in kinds:
        found.say(kind, "key", "why")

    assert found.agrees(Counts(**index)) is agrees
