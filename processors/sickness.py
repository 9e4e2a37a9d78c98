"""When a worker rests because its own jobs fail, so that it does not use up the tries of jobs that others could do.

Pure. A worker is sick when jobs of two posts failed one after the other, for reasons that are neither their photos' nor
those of store or Redis, and no job succeeded between. It then rests, and afterwards runs one job as a probe: if that
fails, it rests twice as long; if it succeeds, the worker is well. One post alone makes no worker sick, however often it
fails: the post may be the cause. Times are seconds of a monotonic clock.
"""

from typing import Final

POSTS_MIN: Final = 2
REST_MIN_S: Final = 1.0
# Other workers do not wait for this one, and a lone worker finds out within this time that its trouble is over.
REST_MAX_S: Final = 30.0


class Sickness:
    """The health of a worker, by how its jobs of one kind ended."""

    def __init__(self) -> None:
        self._posts: set[str] = set()
        self._rests = 0
        self._until = 0.0

    @property
    def sick(self) -> bool:
        """Whether the worker rests or probes."""
        return len(self._posts) >= POSTS_MIN

    def failed(self, post_id: str, now: float) -> float:
        """Record that a job of this post failed; the seconds of the rest that begins with it, 0 if none does."""
        if not self.sick:
            self._posts.add(post_id)
        if not self.sick or now < self._until:  # jobs that ran when the rest began end in the midst of it
            return 0.0
        rest_s = min(REST_MIN_S * 2.0**self._rests, REST_MAX_S)
        self._rests, self._until = min(self._rests + 1, 16), now + rest_s
        return rest_s

    def succeeded(self) -> bool:
        """Record that a job succeeded; whether the worker was sick until now."""
        was_sick = self.sick
        self._posts.clear()
        self._rests, self._until = 0, 0.0
        return was_sick

    def room(self, free: int, running: int, now: float) -> int:
        """How many of the free slots a claim may fill: none in a rest, one after it while nothing else runs."""
        if not self.sick:
            return free
        return min(free, 1) if now >= self._until and not running else 0

    def wait_s(self, now: float) -> float:
        """Seconds until the rest ends; 0 when there is none."""
        return max(self._until - now, 0.0) if self.sick else 0.0
