"""Admission counts bytes and requests against its budget, from both sides of each limit."""

import pytest

from ingest.admission import Admission, Budget, retry_after_s


def test_requests_are_admitted_up_to_the_limit() -> None:
    """The last place is given, the next is not, and a release gives it back."""
    admission = Admission(Budget(requests_max=2, bytes_max=100))

    assert [admission.admit(1) for _ in range(3)] == [True, True, False]
    admission.release(1)
    assert admission.admit(1)


def test_bytes_are_admitted_up_to_the_limit() -> None:
    """Exactly the budget fits, a byte more does not, and a refusal counts nothing."""
    admission = Admission(Budget(requests_max=10, bytes_max=100))

    assert admission.admit(60)
    assert not admission.admit(41)
    assert admission.admit(40)
    assert repr(admission) == "<Admission 2/10 requests, 100/100 bytes>"


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, 1), (0.19, 1), (0.5, 3), (0.999, 5)])
def test_shed_clients_come_back_spread_over_seconds(fraction: float, seconds: int) -> None:
    """One to five seconds, by chance."""
    assert retry_after_s(fraction) == seconds
