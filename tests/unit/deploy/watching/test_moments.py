"""Which moment counts, and the others."""

import pytest

from deploy.watching.moments import AFTER_S, OTHERS_MAX
from deploy.watching.view import BEFORE_S
from tests.unit.deploy.watching.pages import scaler
from tests.unit.deploy.watching.test_tiers import seen

MOMENTS = {"past": (1_000.0, {}), "now": (2_000.0, {"accepted": 7}), "next": (9_000.0, {}), "later": (9_500.0, {})}


@pytest.mark.parametrize(
    ("at", "name", "others"),
    [
        (1_999.0, "next", 1),  # of those that have not fired; `past` is long over
        (2_000.0, "now", 2),
        (2_120.0 + AFTER_S, "now", 2),
        (2_121.0 + AFTER_S, "next", 1),
        (8_999.0, "next", 1),
        (99_999.0, "later", 0),
    ],
)
def test_the_moment_that_counts(at: float, name: str, others: int) -> None:
    """The one that fired not long ago, else the next, else the last."""
    known = {key: value for key, value in MOMENTS.items() if at >= 2_000.0 or key != "now"}
    moment = seen(at=at, scaler=scaler(moments=known)).moment
    assert moment is not None
    assert (moment.id, moment.since_s, moment.others) == (name, at - MOMENTS[name][0], others)
    assert moment.posts == MOMENTS[name][1]
    assert moment.closes_at == moment.fires_at + 120


@pytest.mark.parametrize(
    ("fires_at", "name"),
    [
        (2_000.0 + BEFORE_S, "next"),
        (2_000.1 + BEFORE_S, "over"),  # not near yet
    ],
)
def test_a_moment_that_is_near_hides_behind_none_that_is_over(fires_at: float, name: str) -> None:
    """Its seconds are those that count; the other one is told besides."""
    found = seen(at=2_000.0, scaler=scaler(moments={"over": (1_820.0, {"accepted": 7}), "next": (fires_at, {})}))
    assert found.moment is not None
    assert (found.moment.id, [one.id for one in found.others]) == (name, [{"next": "over", "over": "next"}[name]])


def test_of_several_open_or_near_moments_all_are_told() -> None:
    """Open ones first, then those to come by their time, then those that are over; so many, and the count of all."""
    known = {"over": 1_700.0, "far": 5_000.0, "near": 2_010.0, "open": 1_950.0, "opened": 1_990.0}
    found = seen(at=2_000.0, scaler=scaler(moments={name: (at, {}) for name, at in known.items()}))
    assert found.moment is not None
    assert (found.moment.id, found.moment.others) == ("opened", 4)
    assert [one.id for one in found.others] == ["open", "near", "far", "over"]

    many = {f"m{number}": (2_010.0 + number, {}) for number in range(OTHERS_MAX + 2)}
    found = seen(at=2_000.0, scaler=scaler(moments=many))
    assert found.moment is not None
    assert (found.moment.id, found.moment.others, len(found.others)) == ("m0", OTHERS_MAX + 1, OTHERS_MAX)


def test_without_a_moment_none_is_shown() -> None:
    """An autoscaler that knows none."""
    assert seen().moment is None
