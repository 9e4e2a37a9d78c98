"""Whether this node takes one more upload: bytes and requests in flight against a budget, before the body is read.

Pure: the caller says when an upload comes and when it ends. An upload counts with its announced length from the start,
because what was admitted must fit when it arrives. Over the budget the answer is 503 at once: an upload refused in a
millisecond costs nothing, one that is queued costs memory and then fails anyway.
"""

import msgspec


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in flight in one node."""

    requests_max: int
    bytes_max: int


class Admission:
    """Counts what is in flight."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.requests = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Admission {self.requests}/{self.budget.requests_max} requests, "
            f"{self.bytes}/{self.budget.bytes_max} bytes>"
        )

    def admit(self, length: int) -> bool:
        """Count an upload of this many bytes in, or say no."""
        if self.requests >= self.budget.requests_max or self.bytes + length > self.budget.bytes_max:
            return False
        self.requests += 1
        self.bytes += length
        return True

    def release(self, length: int) -> None:
        """Count an admitted upload out."""
        self.requests -= 1
        self.bytes -= length


def retry_after_s(fraction: float) -> int:
    """How many seconds a shed client should wait: 1 to 5, spread by a random fraction in [0, 1) so none stampede."""
    return 1 + int(fraction * 5)
