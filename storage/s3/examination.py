"""Tests a store when a program starts, and each endpoint that was away before it is used again.

Twenty small requests each. The second test is `suitability.races` through two endpoints: the one that was away, and one
that has stood it, if there is any. Two stores with one bucket name each would have a winner, and a proxy that drops a
condition lets all its requests win. It counts only if neither was left out meanwhile, so that both took part.
"""

import logging

from .. import suitability
from ..blobs import BlobMissing, BlobStore, QuorumLost, StoreUnavailable, StoreUnsuitable
from . import bucket
from .objects import Objects

log = logging.getLogger("snapsurge.storage.s3")


async def examined(store: BlobStore, objects: Objects, bucket_name: str) -> bool:
    """Test the store and its bucket; False if it cannot write now. StoreUnsuitable, StoreUnavailable."""
    found = {name: await objects.call("GET", "", query={name: ""}) for name in bucket.SETTINGS}
    for warning in bucket.warnings({name: one.body for name, one in found.items() if one.went_well}):
        log.warning("bucket %s: %s", bucket_name, warning)
    try:
        await suitability.check(store, max(suitability.RACERS, 2 * len(objects.endpoints.all)))
    except QuorumLost as error:  # nodes that start now must still serve reads
        told = "store %s was not tested, because it cannot write now; it is when it can: %s"
        log.warning(told, ", ".join(one.url for one in objects.endpoints.all), error)
        return False
    return True


async def stood(store: BlobStore, objects: Objects, url: str) -> bool | None:
    """Whether the endpoint stands the races of the store at these calls, which are not entered; None: not known."""
    try:
        async with objects:
            await suitability.races(store)
            return True if objects.endpoints.steady else None
    except StoreUnsuitable as error:
        log.error("store endpoint %s: %s", url, error)  # noqa: TRY400 - where it was called says nothing
        return False
    except (StoreUnavailable, BlobMissing) as error:
        log.warning("store endpoint %s could not be tested and is not used yet: %s", url, error)
        return None
