"""Whether a post is late: a pure function of when the balancer first saw it and of its moment.

Nothing else counts: not when the upload ended, not when a job runs, not how often the phone had to retry.
"""


def late_by_ms(received_at_ms: int, fires_at_ms: int, window_s: int) -> int:
    """Milliseconds from the window's end to the post; zero or less is on time. Times are unix milliseconds.

    The last instant of the window belongs to it: a post at exactly `fires_at + window_s` is on time.
    """
    return received_at_ms - (fires_at_ms + window_s * 1000)


def is_late(late_by_ms: int) -> bool:
    """Whether a post that came this long after its window's end is late."""
    return late_by_ms > 0
