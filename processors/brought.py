"""What a claim brought, as arq's `run_job` asks Redis for it: a job's body and the number of its run.

arq reads both at a job's start; here they came with the claim, so that arq itself never speaks to Redis.
"""

from collections.abc import Mapping
from typing import Self

from arq.constants import job_key_prefix
from arq.jobs import deserialize_job_raw

from storage.lease import Claimed
from storage.queue import decode


class Brought:
    """What arq's `run_job` reads from Redis at a job's start (body, number of the run), out of the claim."""

    def __init__(self, claimed: Mapping[str, Claimed]) -> None:
        self._claimed = claimed
        self._id = ""

    def pipeline(self, *, transaction: bool) -> Self:  # noqa: ARG002 - arq's
        """Itself."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to give back."""

    def get(self, key: str) -> None:
        """The body of this job is wanted."""
        self._id = key.removeprefix(job_key_prefix)

    def incr(self, _: str) -> None:
        """Runs are counted by the claim."""

    def expire(self, _: str, __: int) -> None:
        """Nothing expires."""

    async def execute(self) -> tuple[bytes, int, bool]:
        """Body, number of this run, and that the count expires."""
        claimed = self._claimed[self._id]
        return claimed.body, claimed.attempts.runs, True


def arguments(claimed: Claimed) -> tuple[str, ...]:
    """The job's arguments, none where the body cannot be read."""
    try:
        _, args, *_ = deserialize_job_raw(claimed.body, deserializer=decode)
    except Exception:  # noqa: BLE001 - arq's own error has no common class with msgspec's
        return ()
    return tuple(args)
