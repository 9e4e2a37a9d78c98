"""The addresses of one store: spreads requests over them, leaves out those that are down, and asks until they are back.

An endpoint is checked only while it is in doubt: after a refused connection, while a request is silent, or after it
answered that it cannot serve. A check is a HEAD of the bucket on a new connection, once a second. An endpoint that does
not answer is left out, and requests that wait for it are given up, so that the caller repeats them at another one. If
all are down, all are used; so one endpoint alone behaves as if nobody checked.

MinIO makes a conditional PUT wait for minutes while too few members are there to agree on a lock. So an endpoint that
answers is also asked for the health of its cluster. While the cluster has no write quorum, the endpoint gets no PUT and
no DELETE, and those that wait there are given up; reads continue. A member that sees too few others may answer that an
object is missing which the others have (seen with members that had just come back). So for a minute after any change,
what is missing is believed only if all endpoints say so, with a write quorum.

After `try_late` an endpoint that was down, also before the first request, serves only once it has stood a trial
together with one that has: another program may answer at its address. One that breaks the rules gets nothing, and is
tried again half a minute later. The caller knows the rules; this file knows nothing of objects.
"""

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from .endpoint import Endpoint, State
from .reply import Said

log = logging.getLogger("snapsurge.storage.s3")

EVERY_S: Final = 1.0
# In checks. A trial is some twenty small requests; one that a busy store did not finish says nothing.
AFTER_UNFIT: Final = 30
AFTER_UNKNOWN: Final = 5
SHAKEN_S: Final = 60.0  # Members find each other again within half a minute.
CHECK_S: Final = 2.0  # A member that hangs makes the others slow; they answer a HEAD within milliseconds all the same.
# "Healthcheck API", MinIO's documentation: 503 without a write quorum; it needs no signature.
_CLUSTER: Final = "GET /minio/health/cluster HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n"
_QUORUM: Final = re.compile(rb"\r\nx-minio-write-quorum:", re.IGNORECASE)


# Whether the endpoint at the first address stands the trial, beside the others; None if that was not found out.
Trial = Callable[[Sequence[str]], Awaitable[bool | None]]


class Endpoints:
    """The endpoints of a store, to be entered before use. `bucket` makes a signed HEAD of the bucket for a host.

    All connections of the store together are at most `connections_max`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        bucket: Callable[[str], Awaitable[bytes]],
        *,
        trust: ssl.SSLContext | None,
        connections_max: int,
        connect_timeout_s: float,
    ) -> None:
        self._bucket = bucket
        self._turn = 0
        self._tasks = asyncio.TaskGroup()
        self._checks: dict[Endpoint, asyncio.Task[None]] = {}
        self._open = False
        self._trial: Trial | None = None
        self._trials = asyncio.Lock()
        self._shaken_until = float("-inf")
        slots = asyncio.Semaphore(connections_max)
        # Shuffled, so that the programs of a machine do not all begin with the same endpoint.
        self.all = [Endpoint(url, trust, connect_timeout_s) for url in random.sample(urls, len(urls))]
        for one in self.all:
            one.wires = one.connections(slots, partial(self.doubt, one))

    def pick(self, *, writes: bool, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a request: the least busy that serves and was not tried.

        None: the store cannot write, or no endpoint is fit.
        """
        best: Endpoint | None = None
        for one in self.all:
            if one.state is State.UP or (one.state is State.READS and not writes):
                if one in tried:
                    continue
                if best is None or one.busy < best.busy or (one.busy == best.busy and one.used < best.used):
                    best = one
        if best is None:
            best = self._any(writes=writes)
        if best is not None:
            self._turn += 1
            best.used = self._turn
        return best

    def _any(self, *, writes: bool) -> Endpoint | None:
        """An endpoint although all that serve were tried: one of these, or one that is down, as the check may err."""
        fit = [one for one in self.all if one.state is State.UP or (one.state is State.READS and not writes)]
        if not fit and writes and any(one.state is State.READS for one in self.all):
            return None
        # Only now may one be used that has to stand a trial again: where all were down, the check may err.
        usable = fit or [one for one in self.all if one.tested]
        return min(usable, key=lambda one: (one.busy, one.used), default=None)

    def try_late(self, trial: Trial, *, tested: bool) -> None:
        """From now on, endpoints that were down must stand this trial; `tested`: those that serve now have stood it."""
        self._trial = trial
        for one in self.all:
            if not tested or one.state is not State.UP:
                one.tested, one.due = False, True
            if not tested:
                self.leave_out(one, State.READS if one.state is State.UP else one.state)

    def leave_out(self, endpoint: Endpoint, state: State) -> None:
        """Use this endpoint no more, or for reads only, until a check finds that it serves."""
        self._become(endpoint, state)
        self.doubt(endpoint)

    def doubt(self, endpoint: Endpoint) -> None:
        """Check this endpoint now, and once a second until it serves."""
        if self._open and endpoint not in self._checks:
            self._checks[endpoint] = self._tasks.create_task(self._settle(endpoint), name=f"check {endpoint.url}")

    @property
    def shaken(self) -> bool:
        """Whether an endpoint is or was left out or in doubt, so that members may not see each other."""
        return bool(self._checks) or asyncio.get_running_loop().time() < self._shaken_until

    @property
    def steady(self) -> bool:
        """Whether no endpoint was ever left out."""
        return all(one.changed_at < 0 for one in self.all)

    def others(self, tried: Collection[Endpoint]) -> bool:
        """Whether there are endpoints that serve and were not tried."""
        return any(one.state is State.UP and one not in tried for one in self.all)

    async def can_write(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint serves with a write quorum, asked at most once a second; else it is left out."""
        now = asyncio.get_running_loop().time()
        if now - endpoint.healthy_at > EVERY_S:
            _, state = await self._looked(endpoint)
            if state is not State.UP:
                self.leave_out(endpoint, state)
                return False
            endpoint.healthy_at = now
        return True

    async def _settle(self, endpoint: Endpoint) -> None:
        try:
            while True:
                loop = asyncio.get_running_loop()
                await asyncio.sleep(max(0.0, endpoint.looked_at + EVERY_S - loop.time()))
                answered, state = await self._looked(endpoint)
                endpoint.looked_at, checks = loop.time(), 1
                if state is State.UP and endpoint.due:
                    state, checks = await self._tried(endpoint)
                elif state is State.READS and endpoint.state is State.UNFIT:
                    state = State.UNFIT
                self._become(endpoint, state)
                others = [one for one in self.all if one is not endpoint]
                if state is State.READS:
                    endpoint.wires.give_up("the store has no write quorum", writes_only=True)
                    for other in others:  # most likely they have none either
                        self.doubt(other)
                elif not answered and any(one.state is State.UP for one in others):
                    endpoint.wires.give_up(f"{endpoint.url} does not answer", writes_only=False)
                if state is State.UP:
                    return
                await asyncio.sleep((checks - 1) * EVERY_S)
        finally:
            del self._checks[endpoint]

    async def _tried(self, endpoint: Endpoint) -> tuple[State, int]:
        """Try an endpoint that answers; its state, and how many checks later to look again."""
        if self._trial is None:
            return State.UP, 1
        async with self._trials:  # One after the other, so that the second stands it beside the first.
            beside = [one.url for one in self.all if one.state is State.UP and one.tested and one is not endpoint]
            try:
                stood = await self._trial([endpoint.url, *beside[:1]])
            except Exception:
                log.exception("store endpoint %s cannot be tested: this is a fault of the program", endpoint.url)
                stood = None
            if stood is None:
                return State.DOWN if endpoint.state is State.UP else endpoint.state, AFTER_UNKNOWN
            endpoint.tested, endpoint.due = stood, not stood
            return (State.UP, 1) if stood else (State.UNFIT, AFTER_UNFIT)

    async def _looked(self, endpoint: Endpoint) -> tuple[bool, State]:
        """Whether the endpoint answers, and what it is good for."""
        try:
            request = await self._bucket(endpoint.host)
        except Exception:
            log.exception("store endpoint %s cannot be checked: no keys for the request; it is used", endpoint.url)
            return True, State.UP
        wires = endpoint.connections(asyncio.Semaphore(1))
        try:
            async with asyncio.timeout(CHECK_S):
                said = await wires.ask([request], now=0.0, silence_s=CHECK_S, head_only=True)
            if said.status >= 500:
                return True, State.DOWN
            return True, State.READS if await self._no_quorum(endpoint) else State.UP
        except OSError:
            return False, State.DOWN
        finally:
            wires.close()

    async def _no_quorum(self, endpoint: Endpoint) -> bool:
        """Whether a MinIO says that its cluster cannot write; other stores answer something else."""
        wires = endpoint.connections(asyncio.Semaphore(1))
        try:
            async with asyncio.timeout(CHECK_S):
                said: Said = await wires.ask([_CLUSTER.format(endpoint.host).encode()], now=0.0, silence_s=CHECK_S)
        except OSError:
            return endpoint.state is State.READS
        finally:
            wires.close()
        return said.status == 503 and _QUORUM.search(said.head) is not None

    def _become(self, endpoint: Endpoint, state: State) -> None:
        if endpoint.state is not state:
            self._shaken_until = asyncio.get_running_loop().time() + SHAKEN_S
            endpoint.due |= state is State.DOWN and self._trial is not None
            endpoint.become(state)

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self._open = False
        for check in self._checks.values():
            check.cancel()
        for one in self.all:
            one.close()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # Without the error, so that the caller gets the error itself and not an exception group.
        await self._tasks.__aexit__(None, None, None)
