"""One address of a store: its connections, how busy it is, and its state, which is logged once it has lasted.

`endpoints.py` sets the state.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from .wire import Unsent, Wires

log = logging.getLogger("snapsurge.storage.s3")

LASTS_S: Final = 2.0  # A state is logged when it has lasted for so long, or at the latest after so many changes.
CHANGES_MAX: Final = 20
# A MinIO that starts looks for the drives of others at once, and then every 15 s.
SETTLE_S: Final = 20.0
CHECK_S: Final = 2.0  # A member that hangs makes the others slow; they answer a HEAD within milliseconds all the same.
# "Healthcheck API", MinIO's documentation: 503 without a write quorum; it needs no signature.
_CLUSTER: Final = "GET /minio/health/cluster{} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n"
_QUORUM: Final = re.compile(rb"\r\nx-minio-write-quorum:[ \t]*(\d{1,4})", re.IGNORECASE)


class State(Enum):
    """What an endpoint is good for; the value is for log lines."""

    UP = "serves"
    APART = (
        "gets no writes until its conditional-write check against the other endpoints passes, and reads only as a "
        "fallback"
    )
    READS = "has no write quorum: it reads only; start the members that are missing"
    DOWN = "does not serve: check that it runs and that this machine reaches it"
    UNFIT = (
        "gets no requests: it overwrote an object that it must not overwrite (ignores conditional writes, belongs to "
        "another store, or does not see the other members); it is tested again in 30 s; fix it, or remove it from "
        "SNAPSURGE_STORE_URL"
    )


class Endpoint:
    """One address, its connections, its state, and how many requests are in progress there.

    `agrees` was found out when it last took part in a test of agreement, and `apart_since` is when it first did not;
    `breaks` is how often it may have been restarted since the program began. `write_quorum` is how many drives a change
    needs, as a MinIO tells; 0 if it is none.
    """

    def __init__(self, url: str, trust: ssl.SSLContext | None, connect_timeout_s: float) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.url, self.host = url, parts.netloc
        # Whether a MinIO could write without the drives of this member: 412 if not (looks.py).
        self.maintenance = _CLUSTER.format("?maintenance=true", parts.netloc).encode()
        self.state = State.UP
        self.busy = 0
        self.agrees = False
        self.breaks = 0
        self.write_quorum = 0
        self.apart_since = float("inf")
        self.back_at = float("-inf")
        self.used = 0
        self.healthy_at = self.looked_at = self.changed_at = float("-inf")
        self._told, self._changes, self._cause = State.UP, 0, ""
        self._telling: asyncio.TimerHandle | None = None
        self.wires: Wires
        self._server = parts.hostname or "", parts.port or (443 if secure else 80), trust if secure else None
        self._connect_timeout_s = connect_timeout_s

    def __repr__(self) -> str:
        return f"<Endpoint {self.url}, {self.state.name}, {self.busy} requests>"

    def lost(self, *, away: bool) -> None:
        """It may have been restarted, surely so if it was `away`: what was found about it counts no more."""
        self.agrees = False
        self.breaks += 1
        if away:
            self.back_at = self.apart_since = float("inf")

    def settled(self, now: float) -> bool:
        """Whether it was not away, or has answered for so long that it found the other members. It answers now."""
        self.back_at = min(self.back_at, now)
        return now - self.back_at >= SETTLE_S

    def become(self, state: State) -> None:
        """Take a state, and log it once it has lasted: while members come and go, each check may find another."""
        loop, self.state = asyncio.get_running_loop(), state
        self.changed_at, self._changes = loop.time(), self._changes + 1
        if self._telling is None:
            self._telling = loop.call_later(LASTS_S, self._tell)

    def _tell(self) -> None:
        loop, self._telling = asyncio.get_running_loop(), None
        left_s = self.changed_at + LASTS_S - loop.time()
        if left_s > 0:
            self._telling = loop.call_later(left_s, self._tell)
            if self._changes < CHANGES_MAX:
                return
            log.warning(
                "store endpoint %s is flapping: %d state changes since the last line; it is used whenever it is up; "
                "check its server's log",
                self.url,
                self._changes,
            )
        elif self.state is not self._told:
            self._told = self.state
            level = logging.ERROR if self.state is State.UNFIT else logging.WARNING
            cause = f" ({self._cause})" if self.state is State.DOWN and self._cause else ""
            log.log(level, "store endpoint %s %s%s", self.url, self.state.value, cause)
        self._changes = 0

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self.wires.close()
        if self._telling is not None:
            self._telling.cancel()

    def connections(
        self,
        slots: asyncio.Semaphore,
        *,
        doubted: Callable[[], None] = lambda: None,
        broke: Callable[[], None] = lambda: None,
        steady: bool = False,
    ) -> Wires:
        """New connections to this address; see `Wires`."""
        host, port, trust = self._server
        limit_s = self._connect_timeout_s
        return Wires(host, port, trust, slots, connect_timeout_s=limit_s, doubted=doubted, broke=broke, steady=steady)

    async def looked(self, request: bytes) -> tuple[bool, State]:
        """Whether the server is silent, and what it is good for, by its answer to this HEAD on a new connection."""
        wires = self.connections(asyncio.Semaphore(1))
        try:
            async with asyncio.timeout(CHECK_S):
                said = await wires.ask([request], now=0.0, silence_s=CHECK_S, head_only=True)
            if said.status >= 500:
                self._cause = f"it answers {said.status}"
                return False, State.DOWN
            return False, State.READS if await self._no_quorum() else State.UP
        except OSError as error:
            cause = error.__cause__ if isinstance(error, Unsent) else error
            late = isinstance(cause, TimeoutError)
            self._cause = f"no answer to a HEAD within {CHECK_S:g} s" if late else f"{type(cause).__name__}: {cause}"
            return not isinstance(cause, ConnectionError), State.DOWN
        finally:
            wires.close()

    async def _no_quorum(self) -> bool:
        """Whether a MinIO says that its cluster cannot write; other stores answer something else."""
        wires = self.connections(asyncio.Semaphore(1))
        try:
            async with asyncio.timeout(CHECK_S):
                said = await wires.ask([_CLUSTER.format("", self.host).encode()], now=0.0, silence_s=CHECK_S)
        except OSError:
            return self.state is State.READS
        finally:
            wires.close()
        found = _QUORUM.search(said.head)
        self.write_quorum = int(found[1]) if found else self.write_quorum
        return said.status == 503 and found is not None
