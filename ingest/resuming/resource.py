"""One upload of a node that can be resumed, and the answer that is kept of one that was completed. Both are values."""

import asyncio

import msgspec

from ..body.arriving import Arriving, Body
from ..uploads import Try
from .beginnings import Beginning
from .versions import Version


class Resource:
    """One upload that is not complete. `length` is that of the whole body, None while nobody has told it.

    `failed_at` is when its commit failed through no fault of its client, in the clock's seconds; None: it did not.
    """

    __slots__ = (
        *("beginning", "begun_at", "body", "failed_at", "length", "moved_at", "moving", "requests", "settled", "timer"),
        *("token", "tried", "version"),
    )

    def __init__(
        self,
        token: str,
        tried: Try,
        beginning: Beginning,
        version: Version,
        body: Body,
        length: int | None,
        begun_at: float,
        now: float,
    ) -> None:
        self.token = token
        self.tried = tried
        self.beginning = beginning
        self.failed_at: float | None = None
        self.version = version
        self.body = body
        self.length = length
        self.begun_at, self.moved_at = begun_at, now
        self.requests = 0
        self.moving: Arriving | None = None
        self.settled: asyncio.Event | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def offset(self) -> int:
        """The bytes that have arrived."""
        return self.body.place.received

    def excuse(self) -> dict[str, str]:
        """The field for the balancer with a failure of ours; it needs none where the creation itself failed."""
        return self.beginning.told() if self.requests > 1 else {}

    def moved(self, now: float) -> None:
        """Record that bytes came now."""
        self.moved_at = now


class Answered(msgspec.Struct, frozen=True):
    """A completed upload: its length and the answer of its post, until when it is kept, in the clock's seconds.

    `attempt` is that of the post: the answer is true while the post is of that attempt.
    """

    user_id: str
    post_id: str
    attempt: str
    version: Version
    offset: int
    status: int
    headers: dict[str, str]
    content: bytes
    until: float

    @property
    def length(self) -> int:
        """It has arrived whole."""
        return self.offset
