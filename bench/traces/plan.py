"""Who uploads what and when: a synthetic burst made from a few parameters, and a trace turned into what to send.

An arrival is `fan-out + reaction + capture` after the moment: the notification reaches phones over `fanout_s`, people
react with a log-normal delay, and the two photos take `capture_s` give or take a half. Pure: randomness comes in
as `rng`, and the same rng state gives the same rows on every platform (rounded to whole µs, bytes and bytes/s).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from .trace import Row

DRAWS_MAX: Final = 10_000  # redraws of one arrival that falls beyond the span, before we say that nobody fits
COPY_JITTER_S: Final = 0.25  # copies of an arrival spread by this, so that scaling keeps the shape but no lockstep

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


class PlanError(Exception):
    """The parameters contradict each other."""


class Rng(Protocol):
    """What this module asks of `random.Random`, whose streams are stable across Python versions."""

    def random(self) -> float:
        """Uniform in [0, 1)."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """Uniform between a and b."""
        ...

    def lognormvariate(self, mu: float, sigma: float) -> float:
        """Exp of a normal variate."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """K random bits."""
        ...


class Uplink(msgspec.Struct, frozen=True):
    """A class of mobile uplinks: its pace and its share of the posters."""

    bytes_per_s: int
    share: float


# 0.5, 2, 5, 10 and 20 Mbit/s: an assumption to be replaced by our own recordings.
UPLINKS: Final = (
    Uplink(62_500, 0.05),
    Uplink(250_000, 0.20),
    Uplink(625_000, 0.30),
    Uplink(1_250_000, 0.30),
    Uplink(2_500_000, 0.15),
)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a synthetic burst; sizes are bytes of one photo, log-normal and clipped."""

    posters: Count
    median_s: Positive = 18.0
    sigma: NotNegative = 0.9
    capture_s: NotNegative = 8.0
    fanout_s: NotNegative = 5.0
    span_s: Positive | None = None
    photo_bytes: Count = 180_000
    photo_sigma: NotNegative = 0.4
    photo_bytes_min: Count = 40_000
    photo_bytes_max: Count = 2_000_000
    uplinks: tuple[Uplink, ...] = UPLINKS


def synthesize(shape: Shape, rng: Rng) -> tuple[Row, ...]:
    """`shape.posters` arrivals sorted by time, one per user; PlanError when the span leaves no room for them."""
    if shape.photo_bytes_min > shape.photo_bytes_max:
        raise PlanError("photo-bytes-min is above photo-bytes-max")
    users: set[str] = set()
    rows: list[Row] = []
    while len(rows) < shape.posters:
        user = f"{rng.getrandbits(64):016x}"
        if user in users:
            continue
        users.add(user)
        t = round(_arrival_s(shape, rng) * 1e6)
        rows.append(Row(t=t, u=user, f=_photo_bytes(shape, rng), b=_photo_bytes(shape, rng), up=_uplink(shape, rng)))
    return tuple(sorted(rows, key=lambda row: (row.t, row.u)))


def _arrival_s(shape: Shape, rng: Rng) -> float:
    """Seconds after the moment; drawn again while beyond the span, so that the count of posters stays."""
    for _ in range(DRAWS_MAX):
        reaction_s = rng.lognormvariate(math.log(shape.median_s), shape.sigma)
        at_s = rng.uniform(0.0, shape.fanout_s) + reaction_s + shape.capture_s * rng.uniform(0.5, 1.5)
        if shape.span_s is None or at_s <= shape.span_s:
            return at_s
    raise PlanError(f"hardly anyone posts within {shape.span_s} s: make span-s longer or median-s shorter")


def _photo_bytes(shape: Shape, rng: Rng) -> int:
    drawn = round(rng.lognormvariate(math.log(shape.photo_bytes), shape.photo_sigma))
    return min(max(drawn, shape.photo_bytes_min), shape.photo_bytes_max)


def _uplink(shape: Shape, rng: Rng) -> int:
    left = rng.random() * sum(uplink.share for uplink in shape.uplinks)
    for uplink in shape.uplinks:
        left -= uplink.share
        if left < 0:
            return uplink.bytes_per_s
    return shape.uplinks[-1].bytes_per_s


def first_attempts(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows a replay offers: recorded retries go, because the client retries itself, and a user posts once."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        if row.n == 1 and row.u not in seen:
            seen.add(row.u)
            kept.append(row)
    return tuple(kept)


def superpose(rows: Sequence[Row], scale: float, rng: Rng) -> tuple[Row, ...]:
    """The burst `scale` times as large: jittered copies with users of their own, thinned to the fraction.

    Never by squeezing time, which would change the correlations and the deadline. A scale of 1 changes nothing.
    """
    if scale == 1:
        return tuple(rows)
    copies = math.ceil(scale)
    chosen = []
    for copy in range(copies):
        share = min(1.0, scale - copy)
        for row in rows:
            if share < 1 and rng.random() >= share:
                continue
            if not copy:
                chosen.append(row)
                continue
            jitter = round(rng.uniform(-COPY_JITTER_S, COPY_JITTER_S) * 1e6)
            chosen.append(msgspec.structs.replace(row, t=max(0, row.t + jitter), u=f"{row.u}.{copy}"))
    return tuple(sorted(chosen, key=lambda row: (row.t, row.u)))
