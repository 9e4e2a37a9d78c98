"""aioboto3 beside our own calls: what an operator does to a bucket, and answers to compare ours with."""

from typing import Any

import aioboto3

from storage.s3.store import S3Store


async def by_library(store: S3Store, name: str, **options: object) -> Any:
    """One call of aioboto3 about the store's bucket."""
    place = {"region_name": store.address.region, "endpoint_url": store.address.endpoint}
    async with aioboto3.Session().client("s3", **place) as client:
        return await getattr(client, name)(Bucket=store.address.bucket, **options)
