"""Runs the sweeper in the elected autoscaler, step by step, and logs what it repaired."""

import asyncio
import logging
import time

from redis.exceptions import RedisError

from storage.blobs import StoreUnavailable
from storage.refusals import reason

from ..election import Election
from ..metrics import ScalerMetrics
from ..passes import pause_s
from ..sweeper import Sweeper

log = logging.getLogger("snapsurge.processors.sweeping")

# Seconds before a failed sweep is tried again.
SWEEP_AGAIN_S = 1.0
# Lost pairs are found again in each pass, every 15 seconds; the alert lasts as long as they do.
LOST_TOLD_AGAIN_S = 600.0


async def sweeping(sweeper: Sweeper, election: Election, metrics: ScalerMetrics) -> None:
    """While elected, run each sweep step that is due; until cancelled."""
    put_off, lost_told_at = False, -LOST_TOLD_AGAIN_S
    while True:
        swept, began, rest_s = None, time.monotonic(), sweeper.pace_s
        try:
            if election.elected:
                swept = await sweeper.step(time.time())
                if put_off:
                    log.info("the sweep continues: the store and Redis answer again")
                put_off = False
        except (StoreUnavailable, RedisError, OSError) as error:
            if not put_off:
                log.warning("the sweep is postponed until the store and Redis answer: %s", reason(error))
            put_off, rest_s = True, SWEEP_AGAIN_S
        except Exception:
            log.exception("the sweep failed")
            rest_s = SWEEP_AGAIN_S
        if swept is not None:
            rest_s = max(pause_s(time.monotonic() - began, found_work=swept.found_work), sweeper.wait_s(time.time()))
            metrics.swept.inc(swept.queued)
            metrics.lost.inc(swept.lost)
            if swept.lost and began - lost_told_at >= LOST_TOLD_AGAIN_S:
                lost_told_at = began
                log.error("the store has lost pairs, `python -m processors verify MOMENT` names them; swept: %s", swept)
            elif swept.queued or swept.tidied:
                log.info("swept: %s", swept)
        await asyncio.sleep(rest_s)
