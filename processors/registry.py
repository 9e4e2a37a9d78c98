"""The border to arq, crossed once on a job's way from its claim to its settlement: a claimed body in, a call out.

Kept of arq are the jobs' format and keys (`storage/queue/jobs.py`), its registry (`func`, `Function`) and `Retry`. So
the functions registered here run under a stock arq worker too; only the context differs, which here holds the claim.
arq's own worker is not used: it reads each job from Redis again, and ends a job for good that ran out of its time.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from arq.jobs import deserialize_job_raw
from arq.worker import Function

from storage.queue.jobs import decode
from storage.queue.lease import Claimed

# Where a function finds its claim in the context; a stock arq worker has none.
CLAIMED: Final = "claimed"


class Unrunnable(Exception):
    """The job's body cannot be read, or names a function that this worker does not have."""


class Call(msgspec.Struct, frozen=True):
    """One run of a job: its name, its arguments, and what to await with them."""

    name: str
    args: tuple[str, ...]
    run: Callable[..., Awaitable[object]]


class Registry:
    """arq's functions by their names: `Registry([func(coroutine, name="render_pair")])`."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = {function.name: function for function in functions}

    def call(self, claimed: Claimed) -> Call:
        """The call that a claimed job asks for; of one that cannot be run, a call that raises Unrunnable."""
        name, args = claimed.id.partition(":")[0], ()
        try:
            name, args, kwargs, _, _ = deserialize_job_raw(claimed.body, deserializer=decode)
            function = self._functions[name]
        except Exception as error:  # noqa: BLE001 - a body may be anything; arq's errors and msgspec's have no common class
            return Call(name, tuple(args), partial(_unrunnable, error))
        context: dict[Any, Any] = {"job_id": claimed.id, "job_try": claimed.attempts.runs, CLAIMED: claimed}
        return Call(name, tuple(args), partial(function.coroutine, context, **kwargs))


async def _unrunnable(error: Exception, *_: str) -> None:
    raise Unrunnable(f"no such job, or a body that cannot be read: {error!r}")
