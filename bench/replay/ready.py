"""How long posts take to be ready, seen from outside: looks at the moment now and then and notes what is settled.

Frugal on purpose, because the machine it looks at is the one under load: the summary first, the listing only when
the summary moved (and every tenth look, should the counts be wrong), and pauses twenty times as long as a look took.
A time to ready is therefore an upper bound, too long by at most the pause before the look.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from ..clock import Clock
from ..outcome import Outcome
from ..service import Post, Service, ServiceError, Summary

PAUSE_S: Final = 1.0
PAUSE_PER_COST: Final = 20
WAIT_PER_COST: Final = 4  # once nothing is being sent, looking more often disturbs only the workers
LIST_EVERY: Final = 10


class ReadyWatch:
    """The posts of one moment as last listed, and when each was first seen settled."""

    def __init__(self, service: Service, moment_id: str, clock: Clock) -> None:
        self._service, self._moment_id, self._clock = service, moment_id, clock
        self._counts: Summary | None = None
        self._looks = 0
        self.posts: list[Post] = []
        self.settled_at: dict[str, float] = {}
        self.pause_max_s = 0.0
        self.trouble = ""

    async def follow(self) -> None:
        """Look until cancelled; a look that fails is remembered and tried again."""
        while True:
            began = self._clock.now()
            try:
                await self.look()
            except ServiceError as error:
                self.trouble = str(error)
            await self._pause(self._clock.now() - began, PAUSE_PER_COST)

    async def until_settled(self, wanted: Iterable[str], timeout_s: float) -> bool:
        """Look until all those posts are settled; False when the time is over."""
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
        """One look: list only if the counts moved, or did not help for a while."""
        self._looks += 1
        counts = await self._summary()
        if counts is None or counts != self._counts or self._looks % LIST_EVERY == 0:
            await self.list_all()
            self._counts = counts

    async def list_all(self) -> None:
        """List the moment and note what is newly settled."""
        self.posts = await self._service.posts(self._moment_id)
        now = self._clock.now()
        for post in self.posts:
            if post.settled:
                self.settled_at.setdefault(post.id, now)

    async def _summary(self) -> Summary | None:
        try:
            return await self._service.summary(self._moment_id)
        except ServiceError as error:
            self.trouble = str(error)
            return None

    async def _pause(self, cost_s: float, factor: int) -> None:
        pause_s = max(PAUSE_S, factor * cost_s)
        self.pause_max_s = max(self.pause_max_s, pause_s)
        await self._clock.sleep(pause_s)


def ready_times(outcomes: Sequence[Outcome], posts: Sequence[Post], watch: ReadyWatch) -> tuple[float, ...]:
    """Seconds from each acknowledgement to when its post was first seen ready."""
    ready = {post.id for post in posts if post.state == "ready"}
    return tuple(
        max(0.0, watch.settled_at[outcome.post_id] - outcome.finished)
        for outcome in outcomes
        if outcome.acknowledged and outcome.post_id in ready and outcome.post_id in watch.settled_at
    )
