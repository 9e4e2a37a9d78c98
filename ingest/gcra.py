"""The rate limit of one user: the generic cell rate algorithm (ITU-T I.371), as arithmetic on one number.

Pure. The number is the theoretical arrival time (TAT): when a user who sends exactly at the rate would send next.
`burst` uploads are allowed at once, then one every `period_s / burst`. `ratelimit.py` stores the number in Redis, with
the same arithmetic in Lua, or in memory while Redis is unavailable.
"""

import math

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """At most `burst` uploads in any `period_s` that follows an idle period."""

    burst: int
    period_s: int

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two uploads of a user who sends exactly at the rate."""
        return max(1, self.period_s * 1000 // self.burst)


class Decision(msgspec.Struct, frozen=True):
    """Whether this upload is allowed, how many remain, and the seconds until one and until all are available."""

    allowed: bool
    remaining: int
    retry_after_s: int
    reset_s: int


def decide(tat_ms: int, now_ms: int, rate: Rate) -> tuple[int, Decision]:
    """The TAT after this upload (unchanged if refused), and the decision. A TAT of 0 is that of a new user.

    A TAT further ahead than any upload can bring it is treated as 0: the clock was set back, or the rate was changed.
    """
    tolerance_ms = rate.interval_ms * rate.burst
    if tat_ms > now_ms + tolerance_ms:
        tat_ms = 0
    start_ms = max(tat_ms, now_ms)
    next_ms = start_ms + rate.interval_ms
    if next_ms - now_ms > tolerance_ms:
        wait_ms = next_ms - now_ms - tolerance_ms
        return tat_ms, Decision(False, 0, math.ceil(wait_ms / 1000), math.ceil((start_ms - now_ms) / 1000))
    remaining = (tolerance_ms - (next_ms - now_ms)) // rate.interval_ms
    return next_ms, Decision(True, remaining, 0, math.ceil((next_ms - now_ms) / 1000))


def headers(decision: Decision, rate: Rate, what: str = "uploads") -> dict[str, str]:
    """The header fields of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After; `what` names the limit."""
    return {
        "Retry-After": str(decision.retry_after_s),
        "RateLimit-Policy": f'"{what}";q={rate.burst};w={rate.period_s}',
        "RateLimit": f'"{what}";r={decision.remaining};t={decision.reset_s}',
    }
