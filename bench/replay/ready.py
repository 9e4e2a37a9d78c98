"""How long posts take to become ready, seen from outside: polls the moment and notes when each post is settled.

A measured time to ready is an upper bound, too long by at most one pause. `ready` is for the display only.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from ..clock import Clock
from ..outcome import Outcome
from ..service import Post, Service, ServiceError, Summary

PAUSE_S: Final = 1.0
# Polling is kept cheap, because the polled machine is the one under load: the pause is twenty times the poll.
PAUSE_PER_COST: Final = 20
WAIT_PER_COST: Final = 4  # after the last upload, more frequent polling disturbs only the workers
# In case the counts of the summary are wrong.
LIST_EVERY: Final = 10
COUNT_EVERY_S: Final = 5.0


class ReadyWatch:
    """Polls one moment: keeps its posts as last listed, and the time when each was first seen settled."""

    def __init__(self, service: Service, moment_id: str, clock: Clock) -> None:
        self._service, self._moment_id, self._clock = service, moment_id, clock
        self._counts: Summary | None = None
        self._looks = 0
        self.posts: list[Post] = []
        self.ready = 0
        self.settled_at: dict[str, float] = {}
        self.pause_max_s = 0.0
        self.trouble = ""

    async def follow(self) -> None:
        """Poll until cancelled; the error of a failed poll is kept in `trouble`, and polling goes on."""
        while True:
            began = self._clock.now()
            try:
                await self.look()
            except ServiceError as error:
                # A service that is being killed and started answers the next poll.
                self.trouble = str(error)
            await self._pause(self._clock.now() - began, PAUSE_PER_COST)

    async def until_settled(self, wanted: Iterable[str], timeout_s: float) -> bool:
        """Poll until all posts with these ids are settled; False after `timeout_s`."""
        missing, deadline = set(wanted), self._clock.now() + timeout_s
        while True:
            began = self._clock.now()
            try:
                await self.look()
            except ServiceError as error:
                self.trouble = str(error)
            missing -= self.settled_at.keys()
            if not missing or self._clock.now() >= deadline:
                return not missing
            await self._pause(self._clock.now() - began, WAIT_PER_COST)

    async def look(self) -> None:
        """Poll once: list the posts only if the counts changed, or if this is every tenth poll."""
        self._looks += 1
        counts = await self._summary()
        if counts is None or counts != self._counts or self._looks % LIST_EVERY == 0:
            await self.list_all()
            self._counts = counts

    async def list_all(self) -> None:
        """List the moment's posts and note the time for those that are newly settled."""
        self.posts = await self._service.posts(self._moment_id)
        self.ready = sum(post.state == "ready" for post in self.posts)
        now = self._clock.now()
        for post in self.posts:
            if post.settled:
                self.settled_at.setdefault(post.id, now)

    async def _summary(self) -> Summary | None:
        try:
            counts = await self._service.summary(self._moment_id)
        except ServiceError as error:
            self.trouble = str(error)
            return None
        self.ready = counts.ready
        return counts

    async def _pause(self, cost_s: float, factor: int) -> None:
        pause_s = max(PAUSE_S, factor * cost_s)
        self.pause_max_s = max(self.pause_max_s, pause_s)
        until = self._clock.now() + pause_s
        # The display goes on during a long pause: a summary costs little.
        while (left_s := until - self._clock.now()) > COUNT_EVERY_S:
            await self._clock.sleep(COUNT_EVERY_S)
            await self._summary()
        await self._clock.sleep(left_s)


def ready_times(outcomes: Sequence[Outcome], posts: Sequence[Post], watch: ReadyWatch) -> dict[str, float]:
    """Seconds from each acknowledgement until its post was first seen ready, by the id of the post."""
    ready = {post.id for post in posts if post.state == "ready"}
    return {
        outcome.post_id: max(0.0, watch.settled_at[outcome.post_id] - outcome.finished)
        for outcome in outcomes
        if outcome.acknowledged and outcome.post_id in ready and outcome.post_id in watch.settled_at
    }
