"""Accounts as stored objects."""

from pathlib import Path

from storage import keys
from storage.account_objects import Accounts
from storage.accounts import Account
from storage.files import FileStore
from storage.records import Moment, from_ms
from tests.stores import put

DAY_MS = 24 * 3600 * 1000


def account(moment_id: str, day: int, **fields: object) -> Account:
    """The account of a moment that fired on this day."""
    region = moment_id.rsplit("-", 2)[0]
    fires_at, closes_at = from_ms(day * DAY_MS), from_ms(day * DAY_MS + 120_000)
    moment = Moment(id=moment_id, region=region, fires_at=fires_at, closes_at=closes_at, window_s=120)
    return Account(moment=moment, computed_at=from_ms(7), settled=True, offered=0, **fields)  # type: ignore[arg-type]


async def test_an_account_is_replaced_only_by_who_read_it(tmp_path: Path) -> None:
    """Of two processes that write, one is told that the other was faster."""
    one = account("eu-20260101-aaaaaaaa", 0)
    async with FileStore(tmp_path) as store:
        accounts = Accounts(store)
        assert await accounts.get(one.moment.id) is None
        assert await accounts.put(one, None)
        assert not await accounts.put(account("eu-20260101-aaaaaaaa", 0, accepted=1), None)
        before = await accounts.get(one.moment.id)
        assert before is not None
        assert before.account == one
        assert await accounts.put(account("eu-20260101-aaaaaaaa", 0, accepted=2), before)
        assert not await accounts.put(account("eu-20260101-aaaaaaaa", 0, accepted=3), before)

        after = await accounts.get(one.moment.id)

    assert after is not None
    assert after.account.accepted == 2
    assert (tmp_path / "moments" / "eu-20260101-aaaaaaaa.account.json").exists()


async def test_a_damaged_account_is_none(tmp_path: Path) -> None:
    """It is logged, and whoever computes one puts it in its place; who read the damaged one is no obstacle."""
    async with FileStore(tmp_path) as store:
        accounts = Accounts(store)
        await put(store, keys.account("eu-20260101-aaaaaaaa"), b"{")
        assert await accounts.get("eu-20260101-aaaaaaaa") is None

        assert await accounts.put(account("eu-20260101-aaaaaaaa", 0, accepted=1), None)
        assert not await accounts.put(account("eu-20260101-aaaaaaaa", 0, accepted=2), None)

        after = await accounts.get("eu-20260101-aaaaaaaa")
    assert after is not None
    assert after.account.accepted == 1


async def test_the_accounts_before_are_of_the_region_and_the_latest_first(tmp_path: Path) -> None:
    """No other region's, no later one's, no more than asked for; a region may have dashes."""
    ids = [("eu-west-20260102-bbbbbbbb", 2), ("eu-west-20260101-aaaaaaaa", 1), ("eu-west-20260103-cccccccc", 3)]
    others = [("eu-20260101-dddddddd", 1), ("us-20260101-eeeeeeee", 1), ("eu-west-20260104-ffffffff", 4)]
    async with FileStore(tmp_path) as store:
        accounts = Accounts(store)
        for moment_id, day in (*ids, *others):
            assert await accounts.put(account(moment_id, day), None)
        await put(store, keys.moment("eu-west-20260101-gggggggg"), b"{}")
        this = account("eu-west-20260103-cccccccc", 3)

        found = [one.moment.id for one in await accounts.before(this, 5)]
        assert found == ["eu-west-20260102-bbbbbbbb", "eu-west-20260101-aaaaaaaa"]
        assert [one.moment.id for one in await accounts.before(this, 1)] == ["eu-west-20260102-bbbbbbbb"]
