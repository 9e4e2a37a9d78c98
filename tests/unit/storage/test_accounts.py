"""Quantiles and budget of accounts."""

from storage.accounts import Account, Failures, Quantiles, Refused, budget, quantiles
from storage.records import Moment, from_ms

MOMENT = Moment(id="eu-20260101-aaaaaaaa", region="eu", fires_at=from_ms(0), closes_at=from_ms(120_000), window_s=120)


def account(**fields: object) -> Account:
    """An account of these numbers."""
    return Account(moment=MOMENT, computed_at=from_ms(200_000), settled=True, offered=0, **fields)  # type: ignore[arg-type]


def test_quantiles_are_values_that_occurred() -> None:
    """The nearest rank: of a hundred values the 99th, of one value that one, of none null."""
    assert quantiles(range(100, 0, -1)) == Quantiles(count=100, p50=50, p90=90, p99=99, max=100)
    assert quantiles([7]) == Quantiles(count=1, p50=7, p90=7, p99=7, max=7)
    assert quantiles([]) == Quantiles()


def test_the_budget_counts_pairs_not_minutes() -> None:
    """One pair in a thousand may fail; late ones and those that never came back in time are the failures."""
    good = account(on_time=1999)
    bad = account(on_time=998, late_because_of_us=1, refused=Refused(pairs=9, not_back=2, not_back_in_time=2))
    total = budget([bad, good])

    assert (bad.due, bad.failed) == (1001, 3)
    assert (total.moments, total.pairs, total.allowed, total.failed, total.left) == (2, 3000, 3.0, 3, 0.0)
    assert budget([good]).left == 1.999


def test_an_account_is_kept_unless_something_is_wrong() -> None:
    """Refused pairs are the budget's matter; a wrong flag, a pending post and a dead letter are broken promises."""
    assert account(refused=Refused(pairs=1, not_back=1)).kept
    for fields in ({"late_because_of_us": 1}, {"pending": 1}, {"failures": Failures(dead_letters={"fault": 1})}):
        assert not account(**fields).kept
