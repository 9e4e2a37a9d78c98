"""Where the jobs of a worker wait to report to the index together: a call for ten posts costs Redis a third of ten.

A job waits when only its report is left, and only while other jobs wait at this worker for a slot, because then there
is a backlog. It holds no slot meanwhile, so that the next render begins. All go on together: when a job ends with no
other left to take its slot, so that the reports come just before the claim that settles their jobs, or when the first
of them has waited for its limit. Nothing else changes: a job is settled after its report was answered, and if the
worker is lost before, another one runs the job again.
"""

import asyncio

# A report waits at most a fifth as long as its job did in the queue, so a post is seen as ready at most so much later.
SHARE = 5
# About as long as the jobs that were claimed ahead take (ahead.py).
WAIT_S_MAX = 1.0


def limit_s(waited_s: float) -> float:
    """Seconds that a report may wait; `waited_s`: how long its job was due before it was claimed."""
    return min(waited_s / SHARE, WAIT_S_MAX)


class Reporting:
    """The jobs of one worker of which only the report is left."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}
        self._opening = asyncio.Event()

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._since_s

    async def wait(self, job_id: str, seconds: float) -> None:
        """Wait for other reports at most so many seconds; until `ended` the job needs no slot."""
        self._since_s[job_id] = asyncio.get_running_loop().time()
        opening = self._opening
        try:
            async with asyncio.timeout(seconds):
                await opening.wait()
        except TimeoutError:
            if opening is self._opening:
                self.release()

    def release(self) -> None:
        """Let all that wait go on."""
        self._opening.set()
        self._opening = asyncio.Event()

    def ended(self, job_id: str) -> float:
        """Forget a job that has ended; when it began to need no slot, in seconds of the loop's clock."""
        return self._since_s.pop(job_id, asyncio.get_running_loop().time())
