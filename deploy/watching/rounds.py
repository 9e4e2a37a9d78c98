"""One round of readings: what each target said, and how much its counters rose since it was read before. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from .differences import NONE, Reading, Rise
from .exposition import Page
from .targets import Target

# The tier of a program that nobody named, by a name that only its page has.
MARKS: Final = {
    "snapsurge_lb_panic": "balancer",
    "snapsurge_ingest_in_flight_requests": "node",
    "snapsurge_autoscaler_elected": "autoscaler",
    "snapsurge_worker_claims_total": "worker",
}


class Round(msgspec.Struct, frozen=True):
    """The pages that were read at a time, and why others were not."""

    at: float
    readings: Mapping[Target, Reading]
    failures: Mapping[Target, str] = {}


class Seen(msgspec.Struct, frozen=True):
    """A target in a round; without a page when it did not answer. `before`: its reading before, if any."""

    name: str
    tier: str
    page: Page | None = None
    before: Reading | None = None
    rise: Rise = NONE
    why: str = ""

    def get(self, name: str, **labels: str) -> float | None:
        """A sample of its page."""
        return None if self.page is None else self.page.get(name, **labels)

    def each(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """All samples with this name."""
        if self.page is not None:
            yield from self.page.each(name)

    def per_s(self, name: str, **labels: str) -> float | None:
        """How much these counters rise a second; None when that is not known yet."""
        return self.rise.total(name, **labels) / self.rise.seconds if self.rise.seconds > 0 else None


def tier_of(target: Target, page: Page | None) -> str:
    """The tier of a target: as it was told, else by its page; empty when unknown."""
    if target.tier or page is None:
        return target.tier
    names = {name for name, _ in page.samples}
    return next((tier for mark, tier in MARKS.items() if mark in names), "")


def summed(values: Iterator[float | None]) -> float | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
