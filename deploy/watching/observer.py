"""Makes the view of each round of readings. Pure: the times come with the rounds.

It keeps what a view needs of earlier rounds, all of it bounded: the last page of each target, a few seconds of
histograms, the course of some minutes, the last events, and the figures of the burst so far.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from . import events, flows, moments, tiers, view
from .differences import Reading, rise
from .exposition import STAGE_SECONDS, UPLOAD_SECONDS
from .moments import Known
from .prediction import BY_SECOND, Prediction
from .problems import problems
from .quantiles import Buckets, added
from .rounds import Round, Seen, tier_of
from .targets import Target
from .view import Event, Point, Queue, Store, Times, View

WINDOW_S: Final = 10.0  # Percentiles are of the last ten seconds: of fewer they jump.
COURSE_MAX: Final = 240  # Twelve minutes at a moment, twenty at rest.
EVENTS_MAX: Final = 40
# A program that was read so lately still counts as it was: a busy machine misses an answer now and then.
GRACE_S: Final = 5.0
FORGET_S: Final = 60.0  # A target that was not read for so long begins anew.
EMPTY: Final = Buckets({})


class Gained(msgspec.Struct, frozen=True):
    """What the histograms gained in a round, time of uploads and of commits in the store; and the heads a second."""

    at: float
    uploads: Buckets
    store: Buckets
    heads_per_s: float | None


class Burst:
    """The figures of one moment so far, by the names of a prediction."""

    def __init__(self, moment_id: str) -> None:
        self.moment_id = moment_id
        self._sums = {"offered": 0.0, "accepted": 0.0, "shed": 0.0}
        self._peaks = {"queue_peak": 0.0, "workers_peak": 0.0}
        self._empty_s: float | None = None
        self._uploads = EMPTY

    def add(self, found: View, gained: Gained, since_s: float, seconds: float) -> None:
        """Add a round that lasted so many seconds."""
        queue, flow = found.queue, found.flow
        for name, per_s in (("offered", gained.heads_per_s), ("accepted", flow.accepted), ("shed", flow.shed)):
            self._sums[name] += (per_s or 0.0) * seconds
        self._uploads = added((self._uploads, gained.uploads))
        if queue is not None:
            self._peaks["queue_peak"] = max(self._peaks["queue_peak"], queue.ready)
            self._peaks["workers_peak"] = max(self._peaks["workers_peak"], queue.workers)
            self._empty_s = since_s if queue.oldest_s > 0 else self._empty_s

    def figures(self, posts: Mapping[str, int]) -> dict[str, float | None]:
        """The figures; of accepted pairs the moment's own count, where it is known."""
        return {
            **{name: round(value) for name, value in self._sums.items()},
            **{name: posts[name] for name in ("accepted",) if name in posts},
            **self._peaks,
            "queue_empty_s": self._empty_s,
            **{
                name: None if (value := self._uploads.quantile(part)) is None else value * 1000
                for name, part in (("upload_p50_ms", 0.5), ("upload_p99_ms", 0.99))
            },
        }


class Observer:
    """Call `add` with each round, in order."""

    def __init__(self, prediction: Prediction | None = None) -> None:
        self._prediction = prediction
        self._last: dict[Target, Reading] = {}
        self._rounds = 0
        self._seen_at = 0.0
        self._window: deque[Gained] = deque()
        self._course: deque[Point] = deque(maxlen=COURSE_MAX)
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._known: events.Known | None = None
        self._burst: Burst | None = None
        self._moments = Known()

    def add(self, round_: Round) -> View:
        """The view after this round."""
        at, seen = round_.at, self._seen(round_)
        queue, before = tiers.queue(seen, at), self._moments.moments
        known = self._moments.add(moments.told(seen, at), at, leads=self._leads(queue))
        ranked = moments.ordered(known.values())
        flow = flows.flow(seen, self._late_per_s(before, known, at))
        uploads, store = (flows.histogram(seen, name) for name in (UPLOAD_SECONDS, STAGE_SECONDS))
        gained = Gained(at, uploads, store, flows.heads_per_s(seen))
        self._window.append(gained)
        while self._window[0].at <= at - WINDOW_S:
            self._window.popleft()
        found = View(
            at=at,
            moment=msgspec.structs.replace(ranked[0], others=len(ranked) - 1) if ranked else None,
            others=tuple(ranked[1 : 1 + moments.OTHERS_MAX]),
            flow=flow,
            uploads=self._times([one.uploads for one in self._window]),
            nodes=tiers.nodes(seen),
            balancers=tiers.balancers(seen),
            queue=queue,
            store=Store(times=self._times([one.store for one in self._window]), refused=_refused(seen)),
            shards=tiers.shards(seen),
            workers_read=sum(one.tier == "worker" and one.page is not None for one in seen),
            read=len(round_.readings),
            silent=tuple(sorted(one.name for one in seen if one.page is None)),
        )
        programs = {one.name: one for one in seen if one.tier in {"worker", "autoscaler"}}
        was, now = self._known, events.Known(found, known, programs)
        if was is not None:
            self._events.extend(events.events(was, now))
        self._count(found, gained)
        self._course.append(_point(found))
        self._known, self._seen_at, self._rounds = now, at, self._rounds + 1
        return msgspec.structs.replace(
            found,
            problems=tuple(problems(found)),
            events=tuple(self._events),
            foretold=self._foretold(found),
            course=tuple(self._course),
        )

    def _seen(self, round_: Round) -> list[Seen]:
        """What each target said; its last page is kept for the next round."""
        found = []
        for target, reading in round_.readings.items():
            before, since = self._last.get(target), self._seen_at if self._rounds else round_.at
            found.append(
                Seen(
                    name=target.label,
                    tier=tier_of(target, reading.page),
                    page=reading.page,
                    before=before,
                    rise=rise(before, reading, watched_since=since),
                )
            )
        for target, why in round_.failures.items():
            known = self._last.get(target)
            tier = tier_of(target, known.page if known else None)
            # As it was, without a rise: its next reading has what it counts meanwhile.
            if known is not None and round_.at - known.at < GRACE_S:
                found.append(Seen(target.label, tier, known.page, known))
            else:
                found.append(Seen(target.label, tier, why=why))
        # Bounded: a target that left is forgotten after a minute.
        kept = {target: one for target, one in self._last.items() if one.at > round_.at - FORGET_S}
        self._last = kept | dict(round_.readings)
        return found

    def _leads(self, queue: Queue | None) -> bool:
        """Whether the autoscaler that leads did so in the round before."""
        before = self._known.view.queue if self._known else None
        return queue is not None and before is not None and queue.leader == before.leader

    def _late_per_s(
        self, before: Mapping[str, view.Moment], known: Mapping[str, view.Moment], at: float
    ) -> float | None:
        """By the counts of all moments; None when none has them twice, or the clock was set back."""
        pairs = [(before[name].posts, one.posts) for name, one in known.items() if name in before]
        rises = [max(now["late"] - was.get("late", 0), 0) for was, now in pairs if "late" in now]
        return sum(rises) / (at - self._seen_at) if rises and at > self._seen_at else None

    def _times(self, gained: list[Buckets]) -> Times:
        """Percentiles over the window."""
        whole, over_s = added(gained), self._window[-1].at - self._window[0].at
        return Times(p50_s=whole.quantile(0.5), p99_s=whole.quantile(0.99), count=whole.count, over_s=round(over_s, 1))

    def _count(self, found: View, gained: Gained) -> None:
        moment = found.moment
        # Nothing is known of a first round's rises.
        if moment is None or moment.since_s < 0 or self._known is None:
            return
        if self._burst is None or self._burst.moment_id != moment.id:
            self._burst = Burst(moment.id)
        # Of the round in which the moment fires, only the part after it.
        seconds = min(found.at - self._seen_at, moment.since_s)
        self._burst.add(found, gained, moment.since_s, seconds)

    def _foretold(self, found: View) -> tuple[view.Foretold, ...]:
        if self._prediction is None:
            return ()
        moment = found.moment
        so_far = self._burst.figures(moment.posts) if self._burst and moment else {}
        now = {name: getattr(found.flow, name) for name in BY_SECOND}
        return tuple(self._prediction.beside(so_far, now, moment.since_s if moment else None))


def _refused(seen: list[Seen]) -> dict[str, float]:
    """Pairs a second that the store did not take, by cause, without causes of none."""
    found: dict[str, float] = {}
    for one in seen:
        for labels, value in one.rise.each("snapsurge_store_failures_total"):
            if value and one.rise.seconds > 0:
                cause = labels.get("cause", "")
                found[cause] = found.get(cause, 0.0) + value / one.rise.seconds
    return found


def _point(found: View) -> Point:
    queue, flow = found.queue, found.flow
    return Point(
        at=found.at,
        offered=flow.offered,
        accepted=flow.accepted,
        shed=flow.shed,
        late=flow.late,
        p50_s=found.uploads.p50_s,
        p99_s=found.uploads.p99_s,
        ready=queue.ready if queue else None,
        oldest_s=queue.oldest_s if queue else None,
        workers=queue.workers if queue else None,
        desired=queue.desired if queue else None,
        store_p99_s=found.store.times.p99_s if found.store else None,
    )
