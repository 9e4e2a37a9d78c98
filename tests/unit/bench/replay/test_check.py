"""The judgement: every kind of broken promise is found, and nothing else."""

import datetime as dt

import msgspec
import pytest

from bench.outcome import Attempt, Outcome
from bench.replay.check import Sent, Terms, judge
from bench.service import Photo, Photos, Post

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
T0 = START.timestamp()
TERMS = Terms(closes_at_ms=round((T0 + 20) * 1000), margin_ms=50)
SENT = {"u": Sent("aa", "bb")}
WHOLE = Photos(Photo("aa"), Photo("bb"))


def post(at_s: float = 1.0, *, photos: Photos = WHOLE, **changes: object) -> Post:
    """A post received so many seconds after the moment, rightly flagged unless told otherwise."""
    late_by_ms = round((at_s - 20) * 1000)
    values: dict[str, object] = {"id": "p", "user_id": "u", "state": "ready", "late_by_ms": late_by_ms}
    values |= {"late": late_by_ms > 0, "received_at": START + dt.timedelta(seconds=at_s), "photos": photos}
    return Post(**(values | changes))  # type: ignore[arg-type]


def outcome(*attempts: tuple[float, float, int], post_id: str | None = "p") -> Outcome:
    """Tries as (start, end, status), seconds after the moment."""
    tried = tuple(Attempt(T0 + start, T0 + end, status) for start, end, status in attempts)
    return Outcome(user="u", intended=T0, attempts=tried, post_id=post_id)


def kinds(found: Outcome, *posts: Post) -> list[str]:
    """What is broken."""
    return [finding.kind for finding in judge(SENT, [found], posts, TERMS)]


GOOD = outcome((1, 2, 201))


@pytest.mark.parametrize(
    ("found", "posts", "expected"),
    [
        (GOOD, [post()], []),
        (GOOD, [post(state="rejected")], []),
        (GOOD, [post(state="accepted", late=None, late_by_ms=None)], []),
        (GOOD, [post(user_id="somebody else", id="q"), post()], []),
        (outcome((1, 2, 503), post_id=None), [], []),
        (outcome((1, 2, 0), post_id=None), [post()], []),
        (GOOD, [], ["lost"]),
        (GOOD, [post(photos=Photos(Photo("xx"), Photo("bb")))], ["lost"]),
        (GOOD, [post(photos=Photos(Photo("aa"), Photo("xx")))], ["lost"]),
        (GOOD, [post(photos=Photos(Photo(None), Photo("bb")))], ["lost"]),
        (GOOD, [post(photos=Photos(Photo("aa"), None))], ["half"]),
        (outcome((1, 2, 0), post_id=None), [post(photos=Photos(None, Photo("bb")))], ["half"]),
        (GOOD, [post(), post(id="q")], ["doubled"]),
        (GOOD, [post(id="q")], ["doubled"]),
        (GOOD, [post(late=True)], ["wrongly_late"]),
        (GOOD, [post(late_by_ms=-18_999)], ["wrongly_late"]),
        (GOOD, [post(0.96)], []),
        (GOOD, [post(2.05)], []),
        (GOOD, [post(0.94)], ["wrongly_late"]),
        (GOOD, [post(2.06)], ["wrongly_late"]),
    ],
)
def test_what_is_broken_is_found(found: Outcome, posts: list[Post], expected: list[str]) -> None:
    """Each case with its verdict."""
    assert kinds(found, *posts) == expected


@pytest.mark.parametrize("at_s", [20.0, 20.001])
def test_the_end_of_the_window_is_still_on_time(at_s: float) -> None:
    """Late is after the end, by a whole millisecond."""
    assert kinds(outcome((19.9, 21, 201)), post(at_s)) == []
    assert kinds(outcome((19.9, 21, 201)), post(at_s, late=at_s == 20.0)) == ["wrongly_late"]


def test_any_try_may_be_the_one_that_counts() -> None:
    """A ticket keeps the first try's time; a lost answer that of the try before."""
    tried = outcome((1, 2, 503), (5, 6, 0), (9, 10, 200))

    assert [kinds(tried, post(at_s)) for at_s in (1.5, 5.5, 9.5)] == [[], [], []]
    assert kinds(tried, post(7.5)) == ["wrongly_late"]


def test_with_a_ticket_only_the_first_try_counts() -> None:
    """Whoever was given one and is then judged by a later try was wronged."""
    tried = outcome((1, 2, 503), (5, 6, 503), (9, 10, 201))
    attempts = tuple(msgspec.structs.replace(attempt, ticket=attempt.status == 503) for attempt in tried.attempts)
    ticketed = msgspec.structs.replace(tried, attempts=attempts)

    assert [kinds(ticketed, post(at_s)) for at_s in (1.5, 5.5, 9.5)] == [[], ["wrongly_late"], ["wrongly_late"]]


def test_a_finding_says_why() -> None:
    """For the report's examples."""
    assert judge(SENT, [GOOD], [], TERMS)[0].why == "acknowledged as p, but there is no such post"
