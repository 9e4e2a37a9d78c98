"""What a sweep finds and does. Pure."""

import msgspec


class Swept(msgspec.Struct, frozen=True):
    """The counts of a sweep: what it found, and what it queued, removed and reported."""

    moments: int = 0
    posts: int = 0
    unfinished: int = 0
    queued: int = 0
    tidied: int = 0
    recounted: int = 0
    lost: int = 0

    @property
    def found_work(self) -> bool:
        """Whether the sweep repaired something; the next step then follows at once."""
        return bool(self.queued or self.tidied or self.recounted)

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(
            self.moments + other.moments,
            self.posts + other.posts,
            self.unfinished + other.unfinished,
            self.queued + other.queued,
            self.tidied + other.tidied,
            self.recounted + other.recounted,
            self.lost + other.lost,
        )

    def __str__(self) -> str:
        return (
            f"{self.moments} moments, {self.posts} posts, {self.unfinished} unfinished: "
            f"{self.queued} jobs queued, {self.tidied} leftovers of deleted posts removed, "
            f"{self.recounted} posts reported to the index again, {self.lost} posts with a lost pair"
        )


class Found(msgspec.Struct, frozen=True):
    """The post ids in a part of the moments: those with a pair, with a tombstone, and unfinished ones to queue."""

    accepted: set[str] = set()
    deleted: set[str] = set()
    unfinished: set[str] = set()

    def __or__(self, other: "Found") -> "Found":
        return Found(self.accepted | other.accepted, self.deleted | other.deleted, self.unfinished | other.unfinished)
