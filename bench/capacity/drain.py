"""The drain: how many cores render a burst so that every pair is ready in time, and how the backlog goes down.

Work is in CPU seconds and is done in the order in which it came (FIFO). Pure.
"""

import numpy as np

from .demand import Series


def needed_from(work_s: Series, ready_s: float) -> Series:
    """For each second: the least constant number of cores for the work from then on, when none waits from before.

    The first is that of the whole burst.
    """
    # With F(t) the work that came until t, a pair that came at t is ready within R seconds at c cores exactly if, for
    # each s up to t, the work that came from s to t fits between s and t + R: F(t) - F(s) <= c * (t - s + R). So the
    # least constant c is the largest of these quotients (the service curve of network calculus: Le Boudec and Thiran,
    # 2001, chapter 1).
    at = np.flatnonzero(work_s)  # the largest quotient begins and ends with a second in which work comes
    came = np.concatenate(([0.0], np.cumsum(work_s[at])))
    most = np.zeros(len(work_s))
    for number, start in enumerate(at):
        spans = at[number:] - start + 1 + ready_s
        most[start] = ((came[number + 1 :] - came[number]) / spans).max()
    # What is needed from a second on includes what is needed from a later one.
    found: Series = np.maximum.accumulate(most[::-1])[::-1]
    return found


def done_s(work_s: Series, cores: float) -> Series:
    """The work that is done in each second at so many cores, until nothing is left; longer than `work_s` by the drain.

    Work can be done from the second in which it comes. ValueError without cores for work.
    """
    if cores <= 0 and work_s.sum() > 0:
        raise ValueError("without cores nothing is done")
    done, left = [], 0.0
    for came in work_s:
        left += float(came)
        now = min(left, cores)
        done.append(now)
        left -= now
    # Not 0: the rest of a float subtraction would add a second.
    while left > cores * 1e-9:
        now = min(left, cores)
        done.append(now)
        left -= now
    return np.array(done, dtype=np.float64)


def backlog_s(work_s: Series, done: Series) -> Series:
    """The work that waits at the end of each second."""
    came = np.zeros(len(done))
    came[: len(work_s)] = work_s
    left: Series = np.maximum(0.0, np.cumsum(came) - np.cumsum(done))
    return left
