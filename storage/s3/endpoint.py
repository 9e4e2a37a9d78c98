"""One endpoint of a store: its address, its connections, and its state, which is logged once it has lasted."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from .wire import Wires

log = logging.getLogger("snapsurge.storage.s3")

LASTS_S: Final = 2.0  # A state is logged when it has lasted for so long, or at the latest after so many changes.
CHANGES_MAX: Final = 20


class State(Enum):
    """What an endpoint is good for; the value is for log lines."""

    UP = "serves"
    READS = "has no write quorum: it reads only; start the members that are missing"
    DOWN = "does not serve: check that it runs and that this machine reaches it"
    UNFIT = (
        "breaks conditional writes, so that posts would be lost: it is not used, the others are; it is tested again in "
        "half a minute; mend it, or remove it from SNAPSURGE_STORE_URL"
    )


class Endpoint:
    """One address, its connections, its state, and how many requests are in progress there."""

    def __init__(self, url: str, trust: ssl.SSLContext | None, connect_timeout_s: float) -> None:
        place = urlsplit(url)
        secure = place.scheme == "https"
        self.url, self.host = url, place.netloc
        self.state = State.UP
        self.busy = 0
        self.used = 0
        self.healthy_at = self.looked_at = float("-inf")
        self.tested = True  # It has stood the last trial that was finished.
        self.due = False  # It must stand one before it serves again.
        self.changed_at = float("-inf")
        self._told, self._changes = State.UP, 0
        self._telling: asyncio.TimerHandle | None = None
        self.wires: Wires
        self._place = place.hostname or "", place.port or (443 if secure else 80), trust if secure else None
        self._connect_timeout_s = connect_timeout_s

    def __repr__(self) -> str:
        return f"<Endpoint {self.url}, {self.state.name}, {self.busy} requests>"

    def connections(self, slots: asyncio.Semaphore, doubted: Callable[[], None] = lambda: None) -> Wires:
        """New connections to this address."""
        host, port, trust = self._place
        return Wires(host, port, trust, slots, connect_timeout_s=self._connect_timeout_s, doubted=doubted)

    def become(self, state: State) -> None:
        """Take another state, and log it once it has lasted: while members come and go, each check may find another."""
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
                "store endpoint %s changes its state all the time, %d times since the last line; it is used whenever "
                "it serves: look into the log of its process",
                *(self.url, self._changes),
            )
        elif self.state is not self._told:
            self._told = self.state
            level = logging.ERROR if self.state is State.UNFIT else logging.WARNING
            log.log(level, "store endpoint %s %s", self.url, self.state.value)
        self._changes = 0

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        self.wires.close()
        if self._telling is not None:
            self._telling.cancel()
