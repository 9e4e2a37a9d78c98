"""The rows to replay: a synthetic burst made from a few parameters, or a trace reduced to first attempts and scaled.

An arrival is `fan-out + reaction + capture` after the moment: the notification reaches the phones over `fanout_s`,
users react with a log-normal delay, and taking the two photos lasts 0.5 to 1.5 times `capture_s`. Pure: the caller
passes the randomness as `rng`, and the same rng state gives the same rows on every platform (rounded to whole µs,
bytes and bytes/s).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from ..errors import BenchError
from .trace import Row

DRAWS_MAX: Final = 10_000  # draws of one arrival until it falls within the span; then ShapeError
COPY_JITTER_S: Final = 0.25  # copies of an arrival are shifted by up to this, so that they are not simultaneous

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


class ShapeError(BenchError):
    """The parameters contradict each other; the text says which."""


class Rng(Protocol):
    """The methods of `random.Random` that this module uses; their streams are stable across Python versions."""

    def random(self) -> float:
        """Return a uniform variate in [0, 1)."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """Return a uniform variate between a and b."""
        ...

    def lognormvariate(self, mu: float, sigma: float) -> float:
        """Return e to the power of a normal variate."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """Return an integer of k random bits."""
        ...


class Uplink(msgspec.Struct, frozen=True):
    """A class of mobile uplinks: its rate and its share of the posters."""

    bytes_per_s: int
    share: float


# 0.5, 2, 5, 10 and 20 Mbit/s: an assumption until our own recordings give the real distribution.
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
    """`shape.posters` arrivals sorted by time, one per user; ShapeError when the span is too short for them."""
    if shape.photo_bytes_min > shape.photo_bytes_max:
        raise ShapeError("photo-bytes-min is above photo-bytes-max")
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
    """Seconds after the moment. A value beyond the span is drawn again, so that the number of posters stays exact."""
    for _ in range(DRAWS_MAX):
        reaction_s = rng.lognormvariate(math.log(shape.median_s), shape.sigma)
        at_s = rng.uniform(0.0, shape.fanout_s) + reaction_s + shape.capture_s * rng.uniform(0.5, 1.5)
        if shape.span_s is None or at_s <= shape.span_s:
            return at_s
    raise ShapeError(f"hardly anyone posts within {shape.span_s} s: make span-s longer or median-s shorter")


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
    """The rows that a replay sends: the first attempt of each user.

    Recorded retries are left out, because the replaying client makes its own retries, and a user posts once.
    """
    seen: set[str] = set()
    kept = []
    for row in rows:
        if row.n == 1 and row.u not in seen:
            seen.add(row.u)
            kept.append(row)
    return tuple(kept)


def superpose(rows: Sequence[Row], scale: float, rng: Rng) -> tuple[Row, ...]:
    """The burst with `scale` times as many arrivals: jittered copies under new users, the last copy sampled.

    Time is never compressed: that would change the correlations and the deadline. A scale of 1 changes nothing.
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
