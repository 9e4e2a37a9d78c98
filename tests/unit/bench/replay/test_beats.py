"""Shares of a burst, and users that are recognised as made up."""

import datetime as dt
import random

import msgspec
import pytest

from bench.config import Config
from bench.outcome import Attempt, Outcome
from bench.replay.beats import Arrival, Beat, Ended, Gathered, Generator, rehearsing, share
from bench.replay.check import Sent, Terms, judge
from bench.replay.course import Course
from bench.replay.report import Origin, Report, build
from bench.replay.run import Run
from bench.service import Moment, Post, milliseconds
from bench.traces.trace import Row
from ingest.auth import USER_ID_CHARS_MAX
from tests.unit.bench.fake_service import FakeClock

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
T0 = START.timestamp()
ROWS = tuple(Row(t=n, u="u" * 60 + str(n), f=1, b=2, up=3) for n in range(7))


def test_every_arrival_is_dealt_once_and_in_turn() -> None:
    """So that each generator has the course and the mix of the whole burst."""
    arrivals = [Arrival(number, row, "token") for number, row in enumerate(ROWS)]
    dealt = share(arrivals, 3)

    assert [[each.number for each in one] for one in dealt] == [[0, 3, 6], [1, 4], [2, 5]]
    assert share(arrivals[:1], 3)[1:] == [(), ()]


def told(rng: random.Random) -> list[Ended]:
    """Uploads of every kind, in the order in which they ended."""
    found = []
    for n in range(200):
        intended = T0 + rng.uniform(0, 20)
        statuses = rng.choice([(201,), (503, 201), (429, 503, 200), (403,), (0, 0), (503, 503)])
        ends = [intended + rng.expovariate(1) for _ in statuses]
        tries = tuple(Attempt(at, at + rng.expovariate(2), status) for at, status in zip(ends, statuses, strict=True))
        outcome = Outcome(user=f"u{n}", intended=intended, attempts=tries, post_id=f"p{n}", received_at=START)
        found.append(Ended(outcome, Sent(f"f{n}", f"b{n}")))
    return sorted(found, key=lambda one: one.outcome.finished)


def report_of(beats: list[Beat]) -> Report:
    """The report of what was told, after a way over the wire."""
    gathered = Gathered()
    for beat in beats:
        gathered.take([msgspec.msgpack.decode(msgspec.msgpack.encode(beat), type=Beat)])
    assert len(gathered.sent) == 200
    outcomes = gathered.outcomes
    posts = tuple(
        Post(id=str(one.post_id), user_id=one.user, received_at=START, state="ready", late=False)
        for one in outcomes
        if one.acknowledged
    )
    findings = judge(gathered.sent, outcomes, posts, Terms(milliseconds(START), 0.0))
    run = Run(
        moment=Moment("m", START, START, 20),
        rows=tuple(Row(t=0, u=f"u{n}", f=1, b=1, up=1000 + n) for n in range(200)),
        outcomes=outcomes,
        posts=posts,
        ready_s={post.id: 1.0 for post in posts},
        ready_within_s=1.0,
        pending=0,
        findings=findings,
        bad_renditions=(),
        cpu_ms={},
        spent=(),
        course=Course(window_s=20, arrivals=()),
        seconds=1.0,
    )
    return build(run, Config(), Origin(trace="t", trace_sha256="", scale=1.0, settings={}), ["http://127.0.0.1:1"])


@pytest.mark.parametrize("generators", [2, 3, 7])
def test_the_report_of_many_generators_is_that_of_one(generators: int) -> None:
    """Every figure of it, in whatever order their beats come: nothing is a percentile of percentiles."""
    rng = random.Random(14)
    ended = told(rng)
    one = report_of([Beat(generator=1, ended=tuple(ended))])
    shares: list[list[Ended]] = [[] for _ in range(generators)]
    for each in ended:
        rng.choice(shares).append(each)
    beats = [
        Beat(generator=number, ended=tuple(mine[at : at + 9]))
        for number, mine in enumerate(shares, start=1)
        for at in range(0, len(mine), 9)
    ]
    rng.shuffle(beats)

    assert one.offered == 200
    assert one.half > 10  # the posts above have no photos: findings are merged, too
    assert report_of(beats) == one


def test_each_generator_has_its_own_lag() -> None:
    """One that lags does not hide among many that do not."""
    fast, slow = ((Attempt(T0 + lag, T0 + 1, 201),) for lag in (0.001, 0.4))
    gathered = Gathered()
    gathered.take([Beat(generator=2, ended=(Ended(Outcome(user="s", intended=T0, attempts=slow), Sent("", "")),))])
    gathered.take([Beat(generator=1, ended=(Ended(Outcome(user="f", intended=T0, attempts=fast), Sent("", "")),) * 99)])
    found = gathered.lagging([Generator(name="a"), Generator(name="b"), Generator(name="c")])

    assert [each.lag_p99_ms for each in found] == [1.0, 400.0, None]


def test_users_are_recognised_and_accepted() -> None:
    """The longest user of a trace is still one that a node accepts."""
    longest = msgspec.structs.replace(ROWS[0], u="u" * 64)
    (row,) = rehearsing([longest])

    assert row.u == "rehearsal-" + "u" * 64
    assert len(row.u) <= USER_ID_CHARS_MAX


def test_a_beat_loses_nothing_on_its_way() -> None:
    """Floats, times with zones, tickets and digests arrive as they were."""
    now = FakeClock().now() + 1 / 3
    received = dt.datetime.fromtimestamp(now, dt.UTC)
    outcome = Outcome(
        user="u",
        intended=now,
        attempts=(Attempt(now, now + 0.1, 503, ticket=True), Attempt(now + 0.2, now + 0.3, 201)),
        post_id="p",
        replayed=True,
        ticket="t",
        received_at=received,
    )
    beat = Beat(generator=3, begun=1, statuses=(503, 201), ended=(Ended(outcome, Sent("a", "b")),), waiting=(now,))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(beat), type=Beat) == beat
