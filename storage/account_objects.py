"""The accounts of moments in the store: one object each, replaced only by a later account."""

import logging
from collections.abc import Sequence

import msgspec

from . import keys
from .accounts import Account
from .blobs import BlobChanged, BlobExists, BlobMissing, BlobStore
from .together import together

log = logging.getLogger("snapsurge.storage.account_objects")

# Reasons and outcomes are a few dozen: an account has 3 KiB.
BYTES_MAX = 64 * 1024

_decode = msgspec.json.Decoder(Account).decode


class Written(msgspec.Struct, frozen=True):
    """A stored account, and the mark of its object."""

    account: Account
    mark: str


class Accounts:
    """All accounts. Every method may raise blobs.StoreUnavailable."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def get(self, moment_id: str) -> Written | None:
        """The account of a moment; None if there is none, or none that can be read."""
        key = keys.account(moment_id)
        try:
            found = await self._store.read_tail(key, BYTES_MAX)
            return Written(_decode(found.body), found.mark)
        except BlobMissing:
            return None
        except (ValueError, RecursionError) as error:
            log.error(  # noqa: TRY400 - where it was read says nothing
                "account %s is unreadable, ignored: %s; the autoscaler writes it again within two days of its moment",
                key,
                error,
            )
            return None

    async def put(self, account: Account, before: Written | None) -> bool:
        """Write an account, in place of the one that was read before; False if another process was faster.

        Without one before it takes the place of one that cannot be read.
        """
        key, body = keys.account(account.moment.id), msgspec.json.encode(account)
        try:
            if before is not None:
                await self._store.swap(key, before.mark, body)
            elif (mark := await self._damaged(key)) is not None:
                await self._store.swap(key, mark, body)
            else:
                await self._store.create(key, body)
        except (BlobExists, BlobChanged):
            return False
        return True

    async def _damaged(self, key: str) -> str | None:
        """The mark of an object that cannot be read; None if there is none, or it can."""
        try:
            found = await self._store.read_tail(key, BYTES_MAX)
            _decode(found.body)
        except BlobMissing:
            return None
        except (ValueError, RecursionError):
            return found.mark
        return None

    async def before(self, account: Account, most: int) -> Sequence[Account]:
        """The accounts of the `most` moments of the same region before this one, the latest first."""
        region, own = account.moment.region, (account.moment.fires_at, account.moment.id)
        ids = [
            name.removesuffix(keys.ACCOUNT_ENDING)
            async for entry in self._store.list(keys.MOMENTS_PREFIX)
            if (name := entry.key.removeprefix(keys.MOMENTS_PREFIX)).endswith(keys.ACCOUNT_ENDING)
        ]
        day = account.moment.id.rsplit("-", 2)[-2]
        ours = [one for one in ids if one.count("-") > 1 and one.rsplit("-", 2)[0] == region]
        # Ids are ordered by day only, so all of the earliest day are read.
        earlier = sorted((one for one in ours if one.rsplit("-", 2)[1] <= day), key=lambda one: one.rsplit("-", 2)[1])
        chosen = earlier[-most - 1 :]
        first = chosen[0].rsplit("-", 2)[1] if chosen else ""
        chosen = [one for one in earlier if one.rsplit("-", 2)[1] >= first]

        async def read(moment_id: str) -> Written | None:
            return await self.get(moment_id)

        found = await together([lambda one=one: read(one) for one in chosen], "account")  # type: ignore[misc]
        accounts = [one.account for one in found if one is not None]
        older = [one for one in accounts if (one.moment.fires_at, one.moment.id) < own]
        return sorted(older, key=lambda one: (one.moment.fires_at, one.moment.id), reverse=True)[:most]
