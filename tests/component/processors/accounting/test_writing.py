"""When accounts are written, and by whom."""

import asyncio
from typing import Any, cast

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from processors.accounting import writing as module
from processors.accounting.sums import SETTLE_MS
from processors.accounting.writing import PENDING_MS_MAX, Accountant, AccountMetrics, accounting, is_due
from processors.election import Election
from storage import keys
from storage.account_objects import Accounts
from storage.accounts import Account, Refused
from storage.blobs import StoreUnavailable
from storage.index import Counts
from storage.keys import TALLY_KEY
from storage.records import Moment, from_ms
from storage.tallies import Tally, tell
from tests.component.processors.conftest import FIRES_MS

CLOSES_MS = FIRES_MS + 120_000
MOMENT = Moment(
    id="eu-20260101-aaaaaaaa", region="eu", fires_at=from_ms(FIRES_MS), closes_at=from_ms(CLOSES_MS), window_s=120
)
DONE = Counts(accepted=2, on_time=2, ready=2)


@pytest.mark.parametrize(
    ("counts", "after_ms", "due"),
    [
        (DONE, SETTLE_MS - 1, False),
        (DONE, SETTLE_MS, True),
        (structs.replace(DONE, ready=1, pending=1), SETTLE_MS, False),
        (structs.replace(DONE, on_time=1), SETTLE_MS, False),
        (structs.replace(DONE, ready=1, pending=1), PENDING_MS_MAX - 1, False),
        (structs.replace(DONE, ready=1, pending=1), PENDING_MS_MAX, True),
    ],
)
def test_an_account_waits_until_its_moment_has_settled(counts: Counts, after_ms: int, due: bool) -> None:  # noqa: FBT001 - a column of the table
    """A minute after the window, with nothing pending; an hour at most."""
    assert is_due(MOMENT, counts, 0, None, CLOSES_MS + after_ms) is due


def test_late_posts_have_it_written_again_ever_more_seldom() -> None:
    """Only when the counts changed, and not before as much time has passed again."""
    account = Account(
        moment=MOMENT, computed_at=from_ms(CLOSES_MS + 100_000), settled=True, offered=2, accepted=2, on_time=2, ready=2
    )
    more = structs.replace(DONE, accepted=3, late=1, ready=3)

    assert not is_due(MOMENT, DONE, 0, account, CLOSES_MS + 10**9)
    assert [is_due(MOMENT, more, 0, account, CLOSES_MS + ms) for ms in (199_999, 200_000)] == [False, True]


async def test_an_account_is_written_once_and_again_for_late_posts(world: Any) -> None:
    """The stored one is what a reader computes; a second step finds nothing to do."""
    accountant = Accountant(world.store, world.redis, {"": world.redis})
    await world.jobs().render_pair(world.moment_id, await world.post("ann"))
    assert await accountant.step(CLOSES_MS + SETTLE_MS - 1) is None

    account = await accountant.step(CLOSES_MS + SETTLE_MS)
    written = await Accounts(world.store).get(world.moment_id)

    assert account is not None
    assert written is not None
    assert (written.account, account.accepted) == (account, 1)
    assert await accountant.step(CLOSES_MS + SETTLE_MS) is None
    await world.jobs().render_pair(world.moment_id, await world.post("bob", after_ms=130_000))
    # Another autoscaler, which has just been elected, decides the same.
    other = Accountant(world.store, world.redis, {"": world.redis})
    assert await other.step(CLOSES_MS + 2 * SETTLE_MS - 1) is None
    again = await other.step(CLOSES_MS + 2 * SETTLE_MS)
    assert again is not None
    assert (again.accepted, again.late) == (2, 1)
    # The first one's knowledge is old: what it writes is refused, and it knows the newer account then.
    await world.jobs().render_pair(world.moment_id, await world.post("cid", after_ms=130_000))
    assert await accountant.step(CLOSES_MS + 4 * SETTLE_MS) is None
    stored = await Accounts(world.store).get(world.moment_id)
    assert stored is not None
    assert stored.account == again
    third = await accountant.step(CLOSES_MS + 4 * SETTLE_MS)
    assert third is not None
    assert third.accepted == 3


async def test_further_refusals_have_it_written_again(world: Any) -> None:
    """Pairs that are refused after the account was written change no count; tries that Redis lost are no news."""
    accountant, first_ms = Accountant(world.store, world.redis, {"": world.redis}), CLOSES_MS + SETTLE_MS
    await tell(world.redis, world.moment_id, "a:1", Tally("a", {"overloaded": 1}), {"x": FIRES_MS})
    assert await accountant.step(first_ms) is not None
    assert await accountant.step(first_ms + SETTLE_MS) is None

    await tell(world.redis, world.moment_id, "a:1", Tally("a", {"overloaded": 2}), {"y": FIRES_MS})

    assert await accountant.step(first_ms + SETTLE_MS - 1) is None
    again = await accountant.step(first_ms + SETTLE_MS)
    assert again is not None
    assert (again.offered, again.refused.not_back) == (2, 2)
    await world.redis.delete(TALLY_KEY + world.moment_id)
    assert await accountant.step(first_ms + 4 * SETTLE_MS) is None


async def test_an_account_that_cannot_be_read_is_written_anew(world: Any) -> None:
    """Once: a second step finds nothing to do."""
    accountant, key = Accountant(world.store, world.redis, {"": world.redis}), keys.account(world.moment_id)
    await world.jobs().render_pair(world.moment_id, await world.post("ann"))
    await world.store.create(key, b"{")

    account = await accountant.step(CLOSES_MS + SETTLE_MS)

    written = await Accounts(world.store).get(world.moment_id)
    assert account is not None
    assert written is not None
    assert (written.account, account.accepted) == (account, 1)
    assert await accountant.step(CLOSES_MS + SETTLE_MS) is None


async def test_a_moment_whose_counts_are_lost_waits_for_the_sweeper(world: Any) -> None:
    """Counts that are not complete tell nothing."""
    await world.jobs().render_pair(world.moment_id, await world.post("ann"))
    await world.redis.flushall()

    assert await Accountant(world.store, world.redis, {"": world.redis}).step(CLOSES_MS + SETTLE_MS) is None


class Played:
    """An accountant that plays these results, and then finds nothing due."""

    def __init__(self, *results: Exception) -> None:
        self.results = list(results)
        self.over = asyncio.Event()

    async def step(self, _: int) -> None:
        """The next result."""
        if not self.results:
            self.over.set()
            return
        raise self.results.pop(0)


async def test_errors_are_ridden_out_by_the_elected_alone(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage is logged once, a bug with its stack; who is not elected writes nothing."""
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    election, played = (
        Election(redis, "me", term_s=60),
        Played(StoreUnavailable("a"), StoreUnavailable("b"), ValueError("bug")),
    )
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(accounting(cast("Accountant", played), election, CollectorRegistry()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(played.results) == 3
        election.elected = True
        await played.over.wait()
        task.cancel()

    assert caplog.text.count("postponed until the store and Redis answer") == 1
    assert caplog.text.count("writing the account of a moment failed") == 1


def test_the_metrics_have_what_accounts_know_exactly() -> None:
    """One that is not complete may lack failures: Prometheus goes by the tickets then."""
    moment = Moment(id="eu-1", region="eu", fires_at=from_ms(0), closes_at=from_ms(120_000), window_s=120)
    refused = Refused(pairs=9, not_back=7, not_back_in_time=5)
    whole = Account(moment=moment, computed_at=from_ms(0), settled=True, offered=1, on_time=995, refused=refused)
    lacking = structs.replace(
        whole, moment=structs.replace(moment, id="eu-2"), refused=structs.replace(refused, complete=False)
    )
    registry = CollectorRegistry()
    registry.register(AccountMetrics(lambda: [whole, lacking]))

    shown = {
        (one.labels["moment"], one.labels["state"]): one.value
        for metric in registry.collect()
        for one in metric.samples
    }
    assert shown == {("eu-1", "due"): 1000, ("eu-1", "failed"): 5}
