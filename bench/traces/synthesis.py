"""The rows to replay: a synthetic burst made from a few parameters, or a trace reduced to first attempts and scaled.

An arrival is `fan-out + reaction + capture` after the moment: the notification reaches the phones over `fanout_s`, or
as a push service's quota lets it, users react with a log-normal delay, and taking the two photos lasts 0.5 to 1.5 times
`capture_s`.

Pure: the caller passes the randomness as `rng`, and the same rng state gives the same rows on every platform.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Protocol

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from . import push
from .columns import DTYPES, Columns
from .lines import BYTES_MAX, MICROSECONDS_MAX, ROWS_MAX, USER_CHARACTERS_MAX, Row
from .push import ShapeError, Step
from .stream import Source, Stream, windows

__all__ = [
    "UPLINKS",
    "Shape",
    "ShapeError",
    "Uplink",
    "columns",
    "command",
    "first_attempts",
    "superpose",
    "synthesize",
    "uplinks_of",
]

COPY_JITTER_S: Final = 0.25  # copies of an arrival are shifted by up to this, so that they are not simultaneous

Count = Annotated[int, Meta(ge=1)]
# No longer than a trace is, and no wider than numbers can be: e^(12 sigma) is the most that is ever drawn.
Positive = Annotated[float, Meta(gt=0, le=MICROSECONDS_MAX / 1e6)]
NotNegative = Annotated[float, Meta(ge=0, le=MICROSECONDS_MAX / 1e6)]
Sigma = Annotated[float, Meta(ge=0, le=20)]
PhotoBytes = Annotated[int, Meta(ge=1, le=BYTES_MAX)]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.signedinteger[Any]]


class Rng(Protocol):
    """The methods of `random.Random` that this module uses; their streams are stable across Python versions."""

    def random(self) -> float:
        """Return a uniform variate in [0, 1)."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """Return a uniform variate between a and b."""
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
    """The parameters of a synthetic burst; sizes are bytes of one photo, log-normal and clipped.

    With `pushes_per_minute`, `devices` are notified at these rates, and `fanout_s` has no meaning.
    """

    posters: Annotated[int, Meta(ge=1, le=ROWS_MAX)]
    median_s: Positive = 18.0
    sigma: Sigma = 0.9
    capture_s: NotNegative = 8.0
    fanout_s: NotNegative = 5.0
    span_s: Positive | None = None
    photo_bytes: PhotoBytes = 180_000
    photo_sigma: Sigma = 0.4
    photo_bytes_min: PhotoBytes = 40_000
    photo_bytes_max: PhotoBytes = 2_000_000
    uplinks: tuple[Uplink, ...] = UPLINKS
    devices: Count | None = None
    pushes_per_minute: tuple[Step, ...] = ()

    @property
    def plan(self) -> push.Plan:
        """When the push reaches the phones; ShapeError when its parameters contradict each other."""
        if not self.pushes_per_minute:
            return push.even(self.fanout_s)
        if self.devices is None or self.devices < self.posters:
            raise ShapeError("pushes-per-minute needs devices, and no fewer than posters")
        return push.plan_of(self.devices, self.pushes_per_minute)


def command(shape: Shape, window_s: int, seed: int, out: str) -> list[str]:
    """The words of the `synth` command that makes this burst, with every parameter whose default could change."""
    words = ["python", "-m", "bench", "synth"]
    given = {name: getattr(shape, name) for name in shape.__struct_fields__}
    for name in ("devices", "span_s"):  # last, and only when they are there
        given[name] = given.pop(name)
    steps, uplinks = given.pop("pushes_per_minute"), given.pop("uplinks")
    if steps:
        given |= {"fanout_s": None, "pushes_per_minute": push.words_of(steps)}
    if uplinks != UPLINKS:
        given["uplinks"] = ",".join(f"{uplink.bytes_per_s}:{uplink.share:.12g}" for uplink in uplinks)
    for name, value in (given | {"window_s": window_s, "seed": seed}).items():
        if value is not None:
            words += ["--" + name.replace("_", "-"), str(value)]
    return [*words, out]


def uplinks_of(words: str) -> tuple[Uplink, ...]:
    """The classes in `62500:0.05,250000:0.95`, bytes/s and share; ShapeError when that is not what it says."""
    try:
        found = tuple(Uplink(int(rate), float(share)) for rate, share in (word.split(":") for word in words.split(",")))
    except ValueError as error:
        raise ShapeError(f"--uplinks {words}: BYTES_PER_S:SHARE,… as in 62500:0.05,250000:0.95") from error
    if not all(0 < uplink.bytes_per_s <= BYTES_MAX and 0 < uplink.share < math.inf for uplink in found):
        raise ShapeError(f"--uplinks {words}: rates of 1 to {BYTES_MAX} bytes/s, and shares above 0")
    return found


def synthesize(shape: Shape, rng: Source) -> tuple[Row, ...]:
    """The rows of `columns`."""
    return tuple(row for block in columns(shape, rng).blocks() for row in block)


def columns(shape: Shape, rng: Source) -> Columns:
    """`shape.posters` arrivals sorted by time, one per user; ShapeError when the span is too short for them."""
    if not all(math.isfinite(value) for value in msgspec.structs.astuple(shape) if isinstance(value, float)):
        raise ShapeError("every parameter is a finite number")
    if shape.photo_bytes_min > shape.photo_bytes_max:
        raise ShapeError("photo-bytes-min is above photo-bytes-max")
    parts: list[tuple[NDArray[Any], ...]] = []
    left = shape.posters
    for stream in windows(rng):
        rows = _drawn(shape, stream, left)
        if not len(rows[0]):  # 10,000 tries
            raise ShapeError(f"hardly anyone posts within {shape.span_s} s: make span-s longer or median-s shorter")
        parts.append(rows)
        left -= len(rows[0])
        if not left:
            break
    user, t, f, b, up = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    order = np.lexsort((_distinct(user), t))
    return Columns.first(t[order], hexadecimal(user[order]), f[order], b[order], up[order])


def _drawn(shape: Shape, stream: Stream, most: int) -> tuple[NDArray[Any], ...]:
    """User, t, f, b and up of the rows that are whole in this window, at most `most`."""
    # The draws are those of a loop over `random.Random`, row after row, in this order: user, reaction, fan-out, capture
    # (these three again while the arrival is beyond the span), front, back, uplink. A window of the stream is computed
    # at once: where a row would end, for every position at which it could start.
    plan, size = shape.plan, stream.size
    tried = np.arange(size + 1)
    places = stream.after_normal(tried)
    if shape.span_s is not None:
        whole = np.flatnonzero(places + 2 <= size)
        beyond = whole[_arrivals_s(shape, plan, stream, whole) > shape.span_s]
        tried[beyond] = places[beyond] + 2
        while (again := tried[tried] != tried).any():
            tried[again] = tried[tried[again]]
    ends = stream.after_normal(stream.after_normal(np.minimum(places[tried] + 2, size)))
    starts = _starts(ends, size, most)
    if not len(starts):
        return tuple(np.empty(0, kind) for kind in (np.uint64, np.int64, np.int32, np.int32, np.int32))
    stream.used = int(ends[starts[-1] + 1]) + 1
    arrival = tried[starts + 1]
    # Whole µs, bytes and bytes/s: the last bits of a float differ between platforms.
    at_us = np.rint(_arrivals_s(shape, plan, stream, arrival) * 1e6)
    if at_us.max() > MICROSECONDS_MAX:
        raise ShapeError("somebody posts more than two days after the moment: say span-s, or make sigma smaller")
    front = np.minimum(stream.next[arrival] + 4, size)
    back = stream.after_normal(front)
    return (
        stream.bits[starts],
        at_us.astype(DTYPES["t"]),
        _photo_bytes(shape, stream, front),
        _photo_bytes(shape, stream, back),
        _uplinks(shape, stream.uniform[stream.after_normal(back)]),
    )


def _starts(ends: Ints, size: int, most: int) -> Ints:
    """Where the rows start: the first at 0, each later one behind the last draw of the one before."""
    last_draws, start, starts = ends.tolist(), 0, []
    while start < size and (last := last_draws[start + 1]) < size:
        starts.append(start)
        start = last + 1
    return np.array(starts[:most], np.int64)


def _arrivals_s(shape: Shape, plan: push.Plan, stream: Stream, at: Ints) -> Floats:
    """Seconds after the moment of the arrivals whose draws begin at these positions."""
    normal = stream.next[at]
    reaction_s = np.exp(math.log(shape.median_s) + stream.normal[normal] * shape.sigma)
    capture_s = shape.capture_s * (0.5 + stream.uniform[normal + 3])
    return np.asarray(plan.at(stream.uniform[normal + 2]) + reaction_s + capture_s)


def _photo_bytes(shape: Shape, stream: Stream, at: Ints) -> Ints:
    drawn = np.exp(math.log(shape.photo_bytes) + stream.normal[stream.next[at]] * shape.photo_sigma)
    return np.clip(np.rint(drawn), shape.photo_bytes_min, shape.photo_bytes_max).astype(DTYPES["f"])


def _uplinks(shape: Shape, drawn: Floats) -> Ints:
    left = drawn * sum(uplink.share for uplink in shape.uplinks)
    found = np.full(len(drawn), shape.uplinks[-1].bytes_per_s, DTYPES["up"])
    open_yet = np.ones(len(drawn), bool)
    for uplink in shape.uplinks:
        left = left - uplink.share
        here = open_yet & (left < 0)
        found[here] = uplink.bytes_per_s
        open_yet &= ~here
    return found


def _distinct(users: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The users, a repeated one replaced by the next number in place: once in 400,000 bursts of 10 M."""
    while True:
        order = np.argsort(users, kind="stable")
        again = order[1:][users[order[1:]] == users[order[:-1]]]
        if not len(again):
            return users
        users[again] += np.uint64(1)


def hexadecimal(numbers: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Sixteen hexadecimal digits of each number."""
    digits = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), "S2")
    return digits[numbers.astype(">u8").view(np.uint8)].view("S16")


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
    ShapeError for a scale that is not above 0, or that makes more arrivals than a trace may have.
    """
    if not 0 < scale <= ROWS_MAX / max(len(rows), 1):
        raise ShapeError(f"--scale {scale:.12g}: above 0, and {len(rows)} arrivals become {ROWS_MAX} at most")
    if scale == 1:
        return tuple(rows)
    copies = math.ceil(scale)
    users = {row.u for row in rows}
    chosen = []
    for copy in range(copies):
        share = min(1.0, scale - copy)
        for row in rows:
            # The last copy is a sample, where the scale is no whole number.
            if share < 1 and rng.random() >= share:
                continue
            if not copy:
                chosen.append(row)
                continue
            jitter = round(rng.uniform(-COPY_JITTER_S, COPY_JITTER_S) * 1e6)
            user = _unused(f"{row.u}.{copy}", users)
            chosen.append(msgspec.structs.replace(row, t=max(0, row.t + jitter), u=user))
    return tuple(sorted(chosen, key=lambda row: (row.t, row.u)))


def _unused(user: str, users: set[str]) -> str:
    """The user, or a hash of it when the burst has it already, as one made of copies may, or when it is too long."""
    while user in users or len(user) > USER_CHARACTERS_MAX:
        user = hashlib.blake2b(user.encode(), digest_size=16).hexdigest()
    users.add(user)
    return user
