"""Listings of a real MinIO: what we read is what aioboto3 reads."""

import asyncio

from storage.s3.store import S3Address, S3Store
from tests.component.storage.s3.library import by_library

ASKED = [("a7/", ""), ("a7/intake/m/", "a7/intake/m/0990"), ("a7/ +", ""), ("", "a8"), ("c", "")]


async def test_a_listing_is_what_the_library_lists(s3_url: str) -> None:
    """Odd keys, more than one page, from a key on, an empty prefix's objects, and none."""
    keys = [*(f"a7/intake/m/{number:04}" for number in range(1005)), "a7/ +&?%20ä\x01<>", "b0/one"]
    async with S3Store(S3Address.parse(s3_url)) as store:
        await asyncio.gather(*(store.create(key, key.encode()) for key in keys))
        found = {
            (prefix, after): [(entry.key, entry.size) async for entry in store.list(prefix, after)]
            for prefix, after in [
                ("a7/", ""),
                ("a7/intake/m/", "a7/intake/m/0990"),
                ("a7/ +", ""),
                ("", "a8"),
                ("c", ""),
            ]
        }
        for (prefix, after), ours in found.items():
            wanted, start = [], {"StartAfter": after} if after else {}
            while True:
                page = await by_library(store, "list_objects_v2", Prefix=prefix, **start)
                wanted += [(item["Key"], item["Size"]) for item in page.get("Contents", [])]
                if not page["IsTruncated"]:
                    break
                start = {"ContinuationToken": page["NextContinuationToken"]}
            assert ours == wanted
    assert [len(ours) for ours in found.values()] == [1006, 14, 1, 1, 0]
