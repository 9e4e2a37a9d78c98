"""The values that are stored, queued and returned over HTTP.

Pure. Every value is frozen. Times are RFC 3339 UTC text with milliseconds (`Timestamp`), because operators read them in
a bucket and clients in an answer; arithmetic uses unix milliseconds (`to_ms`, `from_ms`). This file does not know where
a record is stored or how it got there.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

Timestamp = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="RFC 3339, UTC, milliseconds")
]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", description="hex SHA-256")]
Side = Literal["front", "back"]
Format = Literal["jpeg", "png", "webp", "heif", "avif"]
State = Literal["accepted", "ready", "rejected"]

SIDES: tuple[Side, Side] = ("front", "back")
EXTENSIONS: dict[Format, str] = {"jpeg": "jpg", "png": "png", "webp": "webp", "heif": "heic", "avif": "avif"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A moment accepts posts for a day after it fires; posts after its window are accepted and late.
ACCEPTING_MS = 24 * 3600 * 1000
# No post is committed to a moment later than this after it fires: the accepting period, plus a day for a phone that
# returns with a ticket from an outage of ours, plus an hour for slow uploads.
OPEN_MS = 2 * ACCEPTING_MS + 3600 * 1000


def from_ms(ms: int) -> Timestamp:
    """Unix milliseconds as a `Timestamp`."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:23] + "Z"


@lru_cache(maxsize=256)  # the same few values repeat: the times of moments
def to_ms(when: Timestamp) -> int:
    """A `Timestamp` (or any RFC 3339 time with an offset) as unix milliseconds; ValueError on other text."""
    parsed = datetime.fromisoformat(when.upper())  # RFC 3339, section 5.6: `t` and `z` may be lower case
    if parsed.tzinfo is None:
        raise ValueError("the time has no offset; write e.g. 2026-01-31T12:00:00.000Z")
    return (parsed - _EPOCH) // timedelta(milliseconds=1)


ATTEMPT_ID_CHARS = 32


def attempt_id(at_ms: int, chance: bytes) -> str:
    """A unique, ordered id of an attempt to post or delete: 48 bits of unix ms and 80 random bits, in hex.

    The layout is that of UUIDv7 (RFC 9562, section 5.7) without its fixed bits. `at_ms` is when the request's
    head reached the balancer; the attempts of one user are ordered by it.
    """
    return f"{at_ms:012x}{chance.hex()[:20]}"


def late_by_ms(received_at: Timestamp, closes_at: Timestamp) -> int:
    """Milliseconds from the window's end to the post; zero or less is on time. Lateness depends on nothing else."""
    return to_ms(received_at) - to_ms(closes_at)


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One notification: posts received until `closes_at` are on time.

    It can be changed until it fires; `revision` counts the changes. A cancelled moment takes no posts.
    """

    id: str
    region: str
    fires_at: Timestamp
    closes_at: Timestamp
    window_s: int
    revision: Annotated[int, msgspec.Meta(description="how often it was changed; absent if never")] = 0
    cancelled: Annotated[bool, msgspec.Meta(description="absent in every answer")] = False


class Photo(msgspec.Struct, frozen=True, kw_only=True):
    """A photo as received: digest and size of its bytes, pixels and format from its header."""

    sha256: Sha256
    bytes: int
    width: int
    height: int
    format: Format


class Photos(msgspec.Struct, frozen=True, kw_only=True):
    """The two photos of one post."""

    front: Photo
    back: Photo


class Times(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When each step of a pair ended, in ms after `received_at`, where, and by which run; None where it is not known.

    The receipt has the steps up to `body_ms`, a finished record all up to `rendered_ms`. Only the index has `ready_ms`,
    because the PUT that makes a post ready cannot contain its own end. `head_ms` is the head of the accepted try: more
    than 0 for a `retry` with a ticket. Times before and after a step may come from clocks of two hosts.
    """

    retry: bool = False
    head_ms: int = 0
    body_ms: int | None = None
    committed_ms: int | None = None
    queued_ms: int | None = None
    claimed_ms: int | None = None
    started_ms: int | None = None
    rendered_ms: int | None = None
    ready_ms: int | None = None
    node: str = ""
    worker: str = ""
    # How earlier runs of the render ended, and the CPU time of the last one.
    faults: int = 0
    outages: int = 0
    lapses: int = 0
    cpu_ms: int | None = None
    trace: str = ""  # the `traceparent` of a trusted peer (W3C Trace Context)

    @property
    def run(self) -> int:
        """The number of the run that rendered the pair, from 1; 0 if it is not known."""
        return 0 if self.rendered_ms is None else 1 + self.faults + self.outages + self.lapses


UNTIMED = Times()  # of records from before this was kept


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was accepted, from which user and when: the last entry of the intake object, and all input of the late flag.

    `attempt` is the upload's own id (`attempt_id`); `request_id` is a label that the client may have chosen. `renewed`
    is the latest upload of the same pair that was acknowledged: a deletion sent before it is superseded.
    """

    id: str
    moment_id: str
    user_id: str
    received_at: Timestamp
    closes_at: Timestamp
    request_id: str
    attempt: str = ""
    renewed: str = ""
    times: Times = UNTIMED
    photos: Photos
    meta: msgspec.Raw = msgspec.Raw(b"null")  # the client's JSON object as sent, without blanks around it

    @property
    def acknowledged(self) -> str:
        """The latest attempt that was acknowledged with "the pair is stored"."""
        return max(self.attempt, self.renewed)

    def same_photos(self, other: "Receipt") -> bool:
        """Whether both receipts are of the same pair, by the digests of the photos."""
        return [getattr(self.photos, side).sha256 for side in SIDES] == [
            getattr(other.photos, side).sha256 for side in SIDES
        ]

    @property
    def late_by_ms(self) -> int:
        """How late this post is, in milliseconds; see the function `late_by_ms`."""
        return late_by_ms(self.received_at, self.closes_at)


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One derived image: its place in the media object, size and digest."""

    offset: int
    bytes: int
    width: int
    height: int
    sha256: Sha256


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record of an accepted pair; the last entry of the media object once it is `ready` or `rejected`.

    `late` and `late_by_ms` are None until the post is flagged. `attempt` is that of the receipt: it distinguishes a
    post from a deleted one of the same user and moment. A ready post that is not `complete` has no `full` renditions
    yet.
    """

    id: str
    moment_id: str
    user_id: str
    received_at: Timestamp
    attempt: str = ""
    state: State
    photos: Photos
    reason: str | None = None
    late: bool | None = None
    late_by_ms: int | None = None
    renditions: dict[str, Rendition] = {}
    thumbhash: dict[Side, str] = {}
    complete: bool = True
    times: Times = UNTIMED


def accepted(receipt: Receipt) -> Post:
    """The record of a pair that is durable and not yet rendered."""
    return Post(
        id=receipt.id,
        moment_id=receipt.moment_id,
        user_id=receipt.user_id,
        received_at=receipt.received_at,
        attempt=receipt.attempt,
        state="accepted",
        photos=receipt.photos,
        times=receipt.times,
    )


def flagged(post: Post, late_by_ms: int) -> Post:
    """The same post with its late flag."""
    return msgspec.structs.replace(post, late=late_by_ms > 0, late_by_ms=late_by_ms)
