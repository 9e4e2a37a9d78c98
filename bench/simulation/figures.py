"""The figures of a simulated burst, each defined as a replay's report measures it, so that both can be compared."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .run import Result

TIERS: Final = ("lb", "node", "worker")
BY_SECOND: Final = ("offered", "accepted", "shed")


def figures_of(result: Result) -> dict[str, float]:
    """The figures of one played burst; a figure of which there is no value is left out."""
    accepted = np.isfinite(result.finished)
    upload_ms = (result.finished - result.arrives)[accepted] * 1000
    # From the acknowledgement until the watcher sees the picture.
    ready_ms = np.maximum(result.seen - result.finished, 0.0)[np.isfinite(result.seen) & accepted] * 1000
    found = {
        "offered": float(len(result.arrives)),
        "accepted": float(accepted.sum()),
        "shed": float(result.shed),
        "failed": float(result.given_up),
        "queue_peak": float(max((second.ready for second in result.seconds), default=0)),
        # Empty when no picture waits: jobs that complete an early picture may still be there.
        "queue_empty_s": float(max((second.t for second in result.seconds if second.oldest_s > 0), default=0)),
        "workers_peak": float(max((second.workers for second in result.seconds), default=0)),
    }
    found |= _percentiles("upload", upload_ms, (50, 99)) | _percentiles("ready", ready_ms, (50, 90, 99))
    pairs = max(found["accepted"], 1.0)
    found |= {f"cpu_{tier}_ms_per_pair": result.cpu_s[tier] * 1000 / pairs for tier in TIERS}
    # Pictures that were rendered without `full` first are completed when no other job waits.
    found["cpu_later_ms_per_pair"] = result.later_s * 1000 / pairs
    return found | _seconds(result, accepted)


def _percentiles(name: str, values: np.typing.NDArray[np.float64], percents: Sequence[int]) -> dict[str, float]:
    if not len(values):
        return {}
    return {f"{name}_p{one}_ms": float(np.percentile(values, one, method="inverted_cdf")) for one in percents}


def _seconds(result: Result, accepted: np.typing.NDArray[np.bool_]) -> dict[str, float]:
    """Offered, accepted and shed by the second of an upload's first try, as in `replay/seconds.py`."""
    second = result.arrives.astype(np.int64)
    size = len(result.shed_s)
    counted = (np.bincount(second, minlength=size), np.bincount(second[accepted], minlength=size), result.shed_s)
    return {
        f"{name}@{t}": float(value)
        for name, values in zip(BY_SECOND, counted, strict=True)
        for t, value in enumerate(values.tolist())
    }
