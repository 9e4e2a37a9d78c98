"""Admission counts bytes and requests against its budget, by rank, from both sides of each limit."""

import pytest

from ingest.admission import READS_PERCENT, Admission, Budget, Rank
from ingest.commits import STALL_S, Commits

NOW = 100.0


def admission(requests: int = 100, size: int = 1000, reads: int = 10) -> Admission:
    """With this budget, over a store that nothing is known of."""
    return Admission(Budget(requests_max=requests, bytes_max=size, reads_max=reads), Commits())


def test_requests_are_admitted_up_to_the_limit() -> None:
    """The last place is given, the next is not, and a release gives it back."""
    asked = admission(requests=2)

    assert [asked.admit(1, Rank.HOLDER, NOW) for _ in range(3)] == [True, True, False]
    asked.release(1)
    assert asked.admit(1, Rank.HOLDER, NOW)


def test_bytes_are_admitted_up_to_the_limit() -> None:
    """Exactly the budget fits, a byte more does not, and a refusal counts nothing."""
    asked = admission(requests=10, size=100)

    assert asked.admit(60, Rank.HOLDER, NOW)
    assert not asked.admit(41, Rank.HOLDER, NOW)
    assert asked.admit(40, Rank.HOLDER, NOW)
    assert repr(asked) == "<Admission 2/10 requests, 100/100 bytes, 0/10 reads>"


@pytest.mark.parametrize(("rank", "percent"), [(Rank.HOLDER, 100), (Rank.FIRST, 90), (Rank.LATE, 80)])
def test_each_rank_fills_its_part_of_the_memory(rank: Rank, percent: int) -> None:
    """To the last byte or request of it; the rest is kept for those before it."""
    by_bytes, by_requests = admission(), admission(size=10**9)

    assert by_bytes.admit(1, rank, NOW)
    assert not by_bytes.admit(10 * percent, rank, NOW)
    assert by_bytes.admit(10 * percent - 1, rank, NOW)
    assert [by_requests.admit(1, rank, NOW) for _ in range(percent + 1)] == [True] * percent + [False]


def test_an_empty_node_takes_any_upload_that_fits() -> None:
    """Of whatever rank, up to the whole budget."""
    asked = admission()
    assert not asked.admit(1001, Rank.LATE, NOW)
    assert asked.admit(1000, Rank.LATE, NOW)


def test_ranks_follow_ticket_and_window() -> None:
    """A ticket counts before the window."""
    ranks = [Rank.of(retry=retry, late=late) for retry in (True, False) for late in (False, True)]

    assert ranks == [Rank.HOLDER, Rank.HOLDER, Rank.FIRST, Rank.LATE]


def test_a_slow_store_bounds_the_uploads_in_flight() -> None:
    """Ten a second and half a second to send: so many fit that each rank waits no longer than it is worth."""
    asked = admission()
    asked.commits.rate, asked.commits.growth = 10.0, 1.0
    asked.commits.received(0.5)

    assert [asked.admit(1, Rank.LATE, NOW) for _ in range(11)] == [True] * 10 + [False]
    assert [asked.admit(1, Rank.FIRST, NOW) for _ in range(6)] == [True] * 5 + [False]
    assert [asked.admit(1, Rank.HOLDER, NOW) for _ in range(6)] == [True] * 5 + [False]


def test_a_store_that_hangs_is_sent_nothing_more() -> None:
    """Not even ticket holders, until a PUT ends."""
    asked = admission()
    asked.commits.began(NOW)

    assert asked.admit(1, Rank.HOLDER, NOW + STALL_S)
    assert not asked.admit(1, Rank.HOLDER, NOW + STALL_S + 0.01)
    asked.commits.ended(NOW + STALL_S + 1, STALL_S + 1, waiting=0)
    assert asked.admit(1, Rank.HOLDER, NOW + STALL_S + 1)


def test_a_refusal_for_want_of_memory_does_not_widen_the_bound_on_uploads() -> None:
    """The bound may be too low only where it was the bound that refused."""
    asked = admission(size=10)

    assert not asked.admit(11, Rank.HOLDER, NOW)
    assert (asked.commits._refused, asked.commits._bound_met) == (True, False)
    asked.commits.growth = 0.0
    assert not all(asked.admit(1, Rank.HOLDER, NOW) for _ in range(9))
    assert asked.commits._bound_met


def test_reads_have_a_limit_of_their_own_and_give_way_to_uploads() -> None:
    """So many at once, and none once uploads fill their part of the budget."""
    asked = admission(reads=2)
    assert [asked.admit_read() for _ in range(3)] == [True, True, False]
    asked.release_read()
    asked.admit(10 * READS_PERCENT, Rank.FIRST, NOW)
    assert asked.admit_read()
    asked.release_read()
    asked.admit(1, Rank.FIRST, NOW)
    assert not asked.admit_read()
