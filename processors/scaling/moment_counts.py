"""Keeps the exact counts of the moments near now in the leader's metrics; they come from the index.

A count that was read before is never shown as the present one: while the index does not answer, a moment has no counts.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from storage.index import Index
from storage.records import Moment

from ..election import Election
from ..metrics import Counted, ScalerMetrics

log = logging.getLogger("snapsurge.processors.moment_counts")

EVERY_S = 2.0
# A region has one moment a day; the newest of more are shown, so that a page stays small whatever ops create.
MOMENTS_MAX = 50


async def counting(
    known: Callable[[], Sequence[Moment]], index: Index, election: Election, metrics: ScalerMetrics
) -> None:
    """While elected, count the moments every `EVERY_S`; until cancelled."""
    while True:
        if election.elected:
            metrics.moments = tuple([await _counted(one, index) for one in known()[-MOMENTS_MAX:]])
        else:
            metrics.moments = ()
        await asyncio.sleep(EVERY_S)


async def _counted(moment: Moment, index: Index) -> Counted:
    try:
        return Counted(moment, await index.counts(moment.id))
    except (RedisError, OSError):  # the autoscaler's tick logs them
        return Counted(moment, None, read=False)
    except ValueError:  # no numbers
        return Counted(moment, None)
