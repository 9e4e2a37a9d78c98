"""Runs the retention in the elected autoscaler, step by step, never faster than it may."""

import asyncio
import logging
import time

from redis.exceptions import RedisError

from storage.blobs import StoreUnavailable
from storage.refusals import reason

from ..election import Election
from ..retention import OBJECTS_S, Retention

log = logging.getLogger("snapsurge.processors.retaining")

# Seconds until the next look when nothing is due, and after a failure.
IDLE_S = 30.0


async def retaining(retention: Retention, election: Election) -> None:
    """While elected, remove what was kept long enough; until cancelled."""
    failed = False
    while True:
        rest_s, began = IDLE_S, time.monotonic()
        try:
            removed = await retention.step(time.time()) if election.elected else None
            if removed is not None:
                # Half of the time at most, and no more than so many objects a second.
                took_s = time.monotonic() - began
                rest_s = max(took_s, removed.looked / OBJECTS_S - took_s)
            failed = False
        except (StoreUnavailable, RedisError, OSError) as error:
            if not failed:
                log.warning("retention is postponed until the store and Redis answer: %s", reason(error))
            failed = True
        except Exception:
            log.exception("bug: retention failed (deleting expired photos and moments); it is tried again")
        await asyncio.sleep(rest_s)
