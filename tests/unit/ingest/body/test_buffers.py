"""Buffers: memory only where bytes came, found as bytes.find finds, and used again within a bound."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.body.buffers import CAPACITY_BYTES_MIN, Buffer, Buffers, capacity_for


def resident_bytes() -> int:
    """This process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=3), st.integers(0, 200), st.integers(0, 200))
def test_search_is_that_of_bytes(data: bytes, needle: bytes, start: int, end: int) -> None:
    """The first place wholly between start and end, -1 for none, nulls included."""
    buffer = Buffer(200)
    buffer.view[: len(data)] = data
    whole = bytes(buffer.view)

    assert buffer.find(needle, start, end) == (whole.find(needle, start, end) if start <= end else -1)


@pytest.mark.parametrize(
    ("length", "capacity"),
    [(0, CAPACITY_BYTES_MIN), (1, CAPACITY_BYTES_MIN), (65_536, 65_536), (65_537, 131_072), (2**21 + 1, 2**22)],
)
def test_capacities_are_powers_of_two(length: int, capacity: int) -> None:
    """At their limits too; the view is exactly as long as was asked."""
    buffer = Buffer(length)

    assert (capacity_for(length), buffer.capacity, len(buffer.view)) == (capacity, capacity, length)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_what_has_not_come_takes_no_memory() -> None:
    """A hundred buffers of 4 MiB with a page each: some pages more, not 400 MiB."""
    before = resident_bytes()
    buffers = [Buffer(4 * 2**20) for _ in range(100)]
    for buffer in buffers:
        buffer.view[0] = 1

    assert resident_bytes() - before < 20 * 2**20


def test_a_buffer_given_back_is_taken_again_for_any_length_it_holds() -> None:
    """Same capacity: the same memory, cut anew."""
    buffers = Buffers()
    first = buffers.take(100_000)
    buffers.give(first)
    assert buffers.kept_bytes == first.capacity

    again = buffers.take(70_000)
    assert again is first
    assert (len(again.view), buffers.kept_bytes) == (70_000, 0)


def test_where_none_fits_one_that_rests_is_let_go() -> None:
    """The one that rested longest; at last nothing rests that nobody takes."""
    buffers = Buffers()
    first, second = buffers.take(1), buffers.take(1)
    buffers.give(first)
    buffers.give(second)
    assert buffers.take(200_000) not in (first, second)
    assert buffers.kept_bytes == CAPACITY_BYTES_MIN

    assert buffers.take(1) is second
    buffers.give(second)
    buffers.take(200_000)
    assert buffers.kept_bytes == 0


def test_no_more_is_kept_than_the_bound() -> None:
    """The bound itself is kept; one more sends away the one that rested longest, and the last given is taken first."""
    buffers = Buffers(kept_bytes_max=3 * CAPACITY_BYTES_MIN)
    given = [buffers.take(1) for _ in range(4)]
    for buffer in given:
        buffers.give(buffer)
    assert buffers.kept_bytes == 3 * CAPACITY_BYTES_MIN

    assert [buffers.take(1) for _ in range(3)] == given[:0:-1]
    assert buffers.kept_bytes == 0


def test_buffers_of_a_size_that_nobody_wants_any_more_make_room() -> None:
    """Small ones fill the bound; a large one that is given is kept in their place, and one above the bound is not."""
    buffers = Buffers(kept_bytes_max=4 * CAPACITY_BYTES_MIN)
    for buffer in [buffers.take(1) for _ in range(4)]:
        buffers.give(buffer)
    large = buffers.take(3 * CAPACITY_BYTES_MIN)
    assert buffers.kept_bytes == 3 * CAPACITY_BYTES_MIN
    buffers.give(large)

    assert buffers.kept_bytes == 4 * CAPACITY_BYTES_MIN
    assert buffers.take(3 * CAPACITY_BYTES_MIN) is large
    buffers.give(large)
    buffers.give(Buffer(5 * CAPACITY_BYTES_MIN))
    assert buffers.take(3 * CAPACITY_BYTES_MIN) is large


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_an_emptied_buffer_has_given_its_memory_back_at_once() -> None:
    """Though somebody still refers to it; what it had in memory is known, and known again when it is used again."""
    buffers = Buffers()
    buffer = buffers.take(16 * 2**20)
    buffer.view[:] = bytes(1) * len(buffer.view)
    buffers.give(buffer)
    full, touched = resident_bytes(), buffer.touched
    buffer.empty()

    assert touched == 16 * 2**20
    assert full - resident_bytes() > 15 * 2**20
    assert (buffer.touched, buffer.view[0]) == (0, 0)
    assert buffers.take(10 * 2**20) is buffer
