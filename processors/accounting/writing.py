"""Writes the account of each moment that has settled; the elected autoscaler does it beside the sweeper.

Late posts may still come for a day. So an account is written again when the moment's counts have changed, or nodes had
further tries, and at least twice as much time has passed since the window closed as before the last account: about ten
times in a day.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.account_objects import Accounts, Written
from storage.accounts import Account
from storage.blobs import BlobStore, StoreUnavailable
from storage.index import Counts
from storage.moments import Moments
from storage.records import Moment, to_ms
from storage.refusals import reason
from storage.sharded_index import ShardedIndex
from storage.tallies import tries_of

from ..election import Election
from ..passes import SWEPT_MS
from .reading import Reader
from .sums import SETTLE_MS

log = logging.getLogger("snapsurge.processors.accounting")

LOOK_S = 5.0
# Moments whose pairs are in the metrics.
MOMENTS_MAX: Final = 50
# Posts that nobody will render any more (dead letters) do not hold the account up for longer.
PENDING_MS_MAX = 3600 * 1000
AGAIN_FACTOR = 2


def is_due(moment: Moment, counts: Counts, tries: int, account: Account | None, now_ms: int) -> bool:
    """Whether the account of this moment is to be written now; `tries` are those that nodes counted."""
    closed_ms = to_ms(moment.closes_at)
    settled = not counts.pending and counts.accepted == counts.on_time + counts.late
    if now_ms < closed_ms + SETTLE_MS or not (settled or now_ms >= closed_ms + PENDING_MS_MAX):
        return False
    if account is None:
        return True
    same = _told_of(account) == (counts.accepted, counts.late, counts.ready, counts.rejected)
    if same and tries <= sum(account.tries.values()):  # fewer: Redis lost them
        return False
    return now_ms - closed_ms >= AGAIN_FACTOR * (to_ms(account.computed_at) - closed_ms)


def _told_of(account: Account) -> tuple[int, int, int, int]:
    return account.accepted, account.late, account.ready, sum(account.rejected.values())


class Accountant:
    """Writes accounts. `step` raises blobs.StoreUnavailable and redis.RedisError."""

    def __init__(self, store: BlobStore, redis: Redis, shards: Mapping[str, Redis]) -> None:
        self._redis = redis
        self._index = ShardedIndex(redis, shards)
        self._moments = Moments(store, self._index)
        self._accounts = Accounts(store)
        self._reader = Reader(store, redis, shards)
        self._known: dict[str, Written | None] = {}

    async def step(self, now_ms: int) -> Account | None:
        """Write the first account that is due; None when none is, or another autoscaler was faster."""
        moments = await self._moments.since(now_ms - SWEPT_MS, now_ms)
        self._known = {one.id: self._known[one.id] for one in moments if one.id in self._known}
        for moment in moments:
            if now_ms < to_ms(moment.closes_at) + SETTLE_MS:
                continue
            counts = await self._counts(moment.id)
            if counts is None:
                continue
            if moment.id not in self._known:
                self._known[moment.id] = await self._accounts.get(moment.id)
            before, tries = self._known[moment.id], await tries_of(self._redis, moment.id)
            if is_due(moment, counts, tries, before.account if before is not None else None, now_ms):
                return await self._write(moment.id, before, now_ms)
        return None

    @property
    def written(self) -> list[Account]:
        """The accounts of the last days, as far as they were read."""
        return [one.account for one in self._known.values() if one is not None]

    async def _counts(self, moment_id: str) -> Counts | None:
        """The moment's counts from the index alone; None while it does not have all of them."""
        total = Counts()
        for shard in self._index.shards.values():
            counts = await shard.counts(moment_id)
            if counts is None:
                return None
            total += counts
        return total

    async def _write(self, moment_id: str, before: Written | None, now_ms: int) -> Account | None:
        stored = before.account if before is not None else None
        account = await self._reader.account(moment_id, now_ms=now_ms, stored=stored)
        written = await self._accounts.put(account, before)
        self._known[moment_id] = await self._accounts.get(moment_id)
        return account if written else None


class AccountMetrics(Collector):
    """Pairs of each moment that failed, and that were due, from its account."""

    def __init__(self, accounts: Callable[[], Sequence[Account]]) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        """Of the latest moments; an account that is not complete may lack failures, so it is not shown."""
        pairs = GaugeMetricFamily(
            "snapsurge_moment_account_pairs",
            "Pairs by the moment's account: `due` to be acknowledged on time, and those that were not, `failed`",
            labels=["moment", "state"],
        )
        for one in sorted(self._accounts(), key=lambda account: account.moment.closes_at)[-MOMENTS_MAX:]:
            if one.refused.complete:
                pairs.add_metric([one.moment.id, "due"], one.due)
                pairs.add_metric([one.moment.id, "failed"], one.failed)
        yield pairs


async def accounting(accountant: Accountant, election: Election, registry: CollectorRegistry) -> None:
    """While elected, write each account that is due, and show it in these metrics; until cancelled."""
    registry.register(AccountMetrics(lambda: accountant.written))
    put_off = False
    while True:
        account = None
        try:
            if election.elected:
                account = await accountant.step(time.time_ns() // 1_000_000)
            put_off = False
        except (StoreUnavailable, RedisError, OSError) as error:
            if not put_off:
                log.warning("accounts of moments are postponed until the store and Redis answer: %s", reason(error))
            put_off = True
        except Exception:
            log.exception("bug: writing the account of a moment failed; it is tried again")
        if account is None:
            await asyncio.sleep(LOOK_S)
            continue
        told = "account of moment %s written: %d offered, %d accepted, %d late, %d late because of us, %d not back"
        log.info(
            told,
            account.moment.id,
            account.offered,
            account.accepted,
            account.late,
            account.late_because_of_us,
            account.refused.not_back,
        )
