"""The membership: nodes of the command line, nodes with heartbeats, the operator's changes over both, and a snapshot.

Redis is polled once a second (`heartbeats.py`); `roster.py` decides what a poll means. Without Redis nothing slows down
and no member changes. A new ring is built in a thread while the old one serves.
"""

import asyncio
import logging
import random
from collections.abc import Iterable

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError

from ..config import Config
from ..placement.fleet import Fleet
from ..placement.node import Member
from ..placement.slots import WEIGHT_MAX
from .heartbeats import RIGHTS, Heartbeats, checked_address, connect
from .overrides import Overrides
from .roster import Roster
from .snapshot import read_members, read_overrides, write_members, write_overrides

log = logging.getLogger("snapsurge.lb.members")

__all__ = ["Membership", "checked_address", "connect", "parse_option"]

BACKOFF_S_MAX = 5.0


def parse_option(option: str) -> Member:
    """`--node ID=HOST:PORT[,weight=N][,zone=NAME]`; raises ValueError."""
    name, _, rest = option.partition("=")
    address, *more = rest.split(",")
    said = dict(field.partition("=")[::2] for field in more)
    weight = said.pop("weight", "1")
    zone = said.pop("zone", "")
    if not name or not address or said or not weight.isdecimal() or int(weight) > WEIGHT_MAX:
        raise ValueError(f"--node {option}: use ID=HOST:PORT[,weight=0 to {WEIGHT_MAX}][,zone=NAME]")
    return Member(id=name, address=checked_address(address), weight=int(weight), zone=zone)


class Membership:
    """Static members always, those from Redis while they are known, changed as the operator says."""

    def __init__(self, config: Config, fleet: Fleet, static: Iterable[Member]) -> None:
        self._config = config
        self._fleet = fleet
        self._static = {member.id: member for member in static}
        now = asyncio.get_running_loop().time()
        kept = read_members(config.snapshot) if config.redis_url else []
        self._roster = Roster(kept, now=now, gone_s=config.members_gone_s)
        self._heartbeats = Heartbeats(config.members_late_ms)
        self._building = asyncio.Lock()
        self._away = False
        self.overrides = read_overrides(config.snapshot)
        self._apply(now)

    @property
    def announced(self) -> dict[str, Member]:
        """The members by command line and heartbeat, without the operator's changes."""
        return {member.id: member for member in self._roster.members()} | self._static

    def _apply(self, now: float) -> None:
        self._fleet.set_members(self.overrides.over(self.announced).values(), now, later=True)

    async def settle(self) -> None:
        """Build the ring of the present members in a thread, and use it."""
        async with self._building:
            while self._fleet.stale:
                self._fleet.adopt(await asyncio.to_thread(self._fleet.draft()))

    async def change(self, overrides: Overrides) -> None:
        """Put these operator changes in force and save them."""
        self.overrides = overrides
        self._apply(asyncio.get_running_loop().time())
        await asyncio.to_thread(write_overrides, self._config.snapshot, overrides)
        await self.settle()

    async def follow(self, client: redis.asyncio.Redis) -> None:
        """Poll at Redis once a second until cancelled; its absence slows nothing down."""
        failures = 0
        while True:
            failures = 0 if await self.try_poll(client) else failures + 1
            pause = min(BACKOFF_S_MAX, self._config.members_s * 2.0 ** min(failures, 8))
            # Jitter: else all balancers would poll Redis at the same moment.
            await asyncio.sleep(max(self._config.members_s, pause if failures else 0.0) * random.uniform(0.9, 1.1))

    async def try_poll(self, client: redis.asyncio.Redis) -> bool:
        """Poll once within the time limit; False when Redis failed."""
        try:
            async with asyncio.timeout(self._config.redis_timeout_ms / 1000):
                poll = await self._heartbeats.poll(client)
        except (RedisError, OSError, TimeoutError) as error:
            self._say(away=True, error=error)
            # A Redis that fails says nothing about any node.
            self._roster.missed()
            self._fleet.silence(frozenset(), asyncio.get_running_loop().time())
            return False
        self._say(away=False)
        now, before = asyncio.get_running_loop().time(), self._roster.members()
        self._roster.apply(poll, now)
        after = self._roster.members()
        if after != before:
            self._apply(now)
            await asyncio.to_thread(write_members, self._config.snapshot, after)
        self._fleet.silence(self._roster.silent - self._static.keys(), now)
        await self.settle()
        return True

    def _reason(self, error: BaseException | None) -> str:
        if isinstance(error, TimeoutError):  # it has no text
            return f"no answer in {self._config.redis_timeout_ms} ms"
        # Of a script, neither Redis 7.0 (which does not name the command) nor Valkey 9 says NOPERM.
        of_script = ("The user executing the script can't", "ACL failure in script")
        if isinstance(error, NoPermissionError) or any(one in str(error) for one in of_script):
            return f"{error}: its user needs the ACL rule {RIGHTS}"
        return str(error)

    def _say(self, *, away: bool, error: BaseException | None = None) -> None:
        """Log when Redis fails or recovers, not each failed poll."""
        if away != self._away:
            self._away = away
            if away:
                log.warning(
                    "cannot read members from Redis, keeping the last %d members until Redis answers: %s",
                    len(self._roster.members()),
                    self._reason(error),
                )
            else:
                log.info("Redis answers again: its members are used")
