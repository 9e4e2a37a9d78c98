"""The values: times that go both ways, the one arithmetic of lateness, records that decode only when whole."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from storage.records import UNTIMED, Moment, Post, Receipt, Times, accepted, flagged, from_ms, to_ms

END_OF_9999_MS = 253_402_300_799_999


@given(st.integers(0, END_OF_9999_MS))
def test_a_time_goes_both_ways(ms: int) -> None:
    """Every millisecond until the year 9999 survives, as text that the record type accepts and that sorts."""
    text = from_ms(ms)

    assert to_ms(text) == ms
    assert msgspec.convert({"id": "m", "region": "r", "fires_at": text, "closes_at": text, "window_s": 1}, Moment)
    assert (from_ms(ms + 1) if ms < END_OF_9999_MS else "~") > text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2026-01-31T12:00:00.000Z", 1_769_860_800_000),
        ("2026-01-31T13:00:00.5+01:00", 1_769_860_800_500),
        ("2026-01-31T12:00:00.000999Z", 1_769_860_800_000),
        ("2026-01-31t12:00:00z", 1_769_860_800_000),
    ],
)
def test_times_of_others_are_understood(text: str, ms: int) -> None:
    """Any RFC 3339 offset and precision; parts of a millisecond are cut off."""
    assert to_ms(text) == ms


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31", "yesterday", ""])
def test_a_time_without_an_offset_is_none(text: str) -> None:
    """ValueError rather than a guess at the zone."""
    with pytest.raises(ValueError, match=r".+"):
        to_ms(text)


@pytest.mark.parametrize(("late_by_ms", "late"), [(-120_000, False), (-1, False), (0, False), (1, True), (999, True)])
def test_lateness_begins_one_millisecond_after_the_window(
    late_by_ms: int,
    late: bool,  # noqa: FBT001 - a column of the table
    make_receipt: Callable[..., Receipt],
) -> None:
    """At the window's end exactly is on time; the flag follows from the number."""
    receipt = make_receipt(late_by_ms=late_by_ms)
    post = flagged(accepted(receipt), receipt.late_by_ms)

    assert receipt.late_by_ms == late_by_ms
    assert (post.late, post.late_by_ms) == (late, late_by_ms)


def test_an_accepted_post_says_what_the_receipt_says(make_receipt: Callable[..., Receipt]) -> None:
    """State accepted, no flag, no renditions; the rest is the receipt's."""
    receipt = make_receipt()
    post = accepted(receipt)

    assert (post.state, post.late, post.renditions) == ("accepted", None, {})
    assert (post.id, post.user_id, post.attempt) == (receipt.id, receipt.user_id, receipt.attempt)
    assert post.photos == receipt.photos


def test_records_from_before_times_were_kept_are_read(
    make_receipt: Callable[..., Receipt], make_post: Callable[..., Post]
) -> None:
    """A receipt and a record as version 0.1 wrote them: the times are not known."""
    for value in (make_receipt(), make_post("ready")):
        fields = msgspec.to_builtins(value)
        assert fields.pop("times", {}) == {}
        old = msgspec.json.decode(msgspec.json.encode(fields), type=type(value))
        assert (old, old.times, old.times.run) == (value, UNTIMED, 0)


def test_the_longest_times_leave_room_in_a_record(make_receipt: Callable[..., Receipt]) -> None:
    """They are bounded: numbers, and names that the programs themselves make."""
    numbers = {name: 999_999_999 for name in Times.__struct_fields__ if name.endswith("_ms")}
    times = Times(
        **numbers, retry=True, node="n" * 64, worker="w" * 100, trace="t" * 55, faults=9, outages=120, lapses=9
    )

    assert len(msgspec.json.encode(structs.replace(make_receipt(), times=times))) < 2048


def test_records_survive_json(make_post: Callable[..., Post]) -> None:
    """A post and its flag come back as they went, and what is not set takes no room."""
    post = make_post("ready")
    text = msgspec.json.encode(post)

    assert msgspec.json.decode(text, type=Post) == post
    assert b"reason" not in text


@pytest.mark.parametrize(
    ("field", "value"), [("state", "lost"), ("received_at", "12:00"), ("photos", {}), ("id", None)]
)
def test_a_record_that_is_not_whole_is_refused(field: str, value: object, make_post: Callable[..., Post]) -> None:
    """Unknown state, a time in another form, missing photos: no Post comes of it."""
    record = msgspec.to_builtins(make_post()) | {field: value}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(record, Post)
