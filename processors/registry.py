"""The border to arq: turns the body of a claimed job into a call of a registered function.

We use arq's job format and keys (`storage/queue/jobs.py`), its registry (`func`, `Function`) and `Retry`. Therefore a
stock arq worker can run the functions registered here; only the context differs, which here holds the claim. We do not
use arq's worker, because it reads each job from Redis a second time and ends a job for good when it times out.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from arq.jobs import deserialize_job_raw
from arq.worker import Function

from storage.keys import is_post_id, moment_of
from storage.queue.jobs import COMMITTED, decode
from storage.queue.lease import Claimed

log = logging.getLogger("snapsurge.processors.registry")

# The context's keys for the claim, and for when the job was queued and its pair committed (unix ms); the context of a
# stock arq worker lacks them.
CLAIMED: Final = "claimed"
QUEUED_MS: Final = "queued_ms"
COMMITTED_MS: Final = "committed_ms"
# And for what a job awaits when only its report to the index is left (reporting.py).
REPORTING: Final = "reporting"


class Unrunnable(Exception):
    """The job's body cannot be read, or names a function that this worker does not have."""


class Call(msgspec.Struct, frozen=True):
    """One run of a job: `await run(*args)`."""

    name: str
    args: tuple[str, ...]
    run: Callable[..., Awaitable[object]]


class Registry:
    """arq functions by name: `Registry([func(coroutine, name="render_pair")])`."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = {function.name: function for function in functions}

    def call(self, claimed: Claimed, reporting: Callable[[], Awaitable[None]] | None = None) -> Call:
        """The call for a claimed job; for an unreadable or unknown job, a call that raises Unrunnable.

        The job of a post can be run without its body: its id has all that the body must tell.
        """
        name, _, post_id = claimed.id.partition(":")
        args: tuple[str, ...] = ()
        kwargs: dict[str, Any] = {}
        body: Any = {}
        queued_ms = 0
        try:
            body = decode(claimed.body)
            name, args, kwargs, _, queued_ms = deserialize_job_raw(claimed.body, deserializer=lambda _: body)
            function = self._functions[name]
        except Exception as error:  # noqa: BLE001 - a body may be anything; arq's errors and msgspec's have no common class
            if body or not isinstance(body, dict) or name not in self._functions or not is_post_id(post_id):
                return Call(name, tuple(args), partial(_unrunnable, error))
            log.warning("the body of job %s cannot be read; the job runs by its id: %r", claimed.id, error)
            function, args, body = self._functions[name], (moment_of(post_id), post_id), {}
        context: dict[Any, Any] = {"job_id": claimed.id, "job_try": claimed.attempts.runs, CLAIMED: claimed}
        context |= {QUEUED_MS: queued_ms, COMMITTED_MS: body.get(COMMITTED, 0), REPORTING: reporting}
        return Call(name, tuple(args), partial(function.coroutine, context, **kwargs))


async def _unrunnable(error: Exception, *_: str) -> None:
    raise Unrunnable(f"no such job, or a body that cannot be read: {error!r}")
