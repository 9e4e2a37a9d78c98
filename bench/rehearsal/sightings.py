"""Which metric saw a fault first: a series that leaves the band it kept in the seconds before, and does so only then.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from .scrapes import COUNTERS, UP, Scrape

CONTROL_S: Final = 10.0
CONTROL_MIN: Final = 4  # scrapes; with fewer, a band says nothing
WIDER: Final = 0.5  # of an end of the band: from half of the least to one and a half of the most

RECOVERED: Final = 5  # good scrapes in a row: a program that is starting may answer once and then be busy
# Only metrics that tell of trouble, and only in the direction of trouble: bytes and requests in flight move with every
# burst.
FALLS: Final = frozenset({UP, "snapsurge_lb_node_up", "snapsurge_workers", "snapsurge_autoscaler_elected", "workers"})
RISES: Final = frozenset(
    {
        # of a balancer
        *("snapsurge_lb_node_ejections_total", "snapsurge_lb_node_connect_errors_total", "snapsurge_lb_lost_total"),
        *("snapsurge_lb_retries_total", "snapsurge_lb_retries_denied_total", "snapsurge_lb_spills_total"),
        *("snapsurge_lb_panic", "snapsurge_lb_node_answer_seconds", "mean of snapsurge_lb_request_seconds"),
        *("snapsurge_lb_requests_total{status=5xx}", "snapsurge_lb_connections_refused_total"),
        # of a node
        *("snapsurge_store_failures_total", "mean of snapsurge_stage_seconds"),
        "mean of snapsurge_ingest_request_seconds",
        # of a worker
        *("snapsurge_worker_failures_total", "snapsurge_worker_lapses_total", "snapsurge_worker_refused_total"),
        *("snapsurge_worker_dead_total", "snapsurge_worker_renderers_ended_total", "mean of snapsurge_render_seconds"),
        # of the autoscaler, and of /v1/scaling
        *("snapsurge_queue_oldest_seconds", "snapsurge_queue_deferred", "snapsurge_dead_letters"),
        *("snapsurge_swept_jobs_total", "oldest_s"),
    }
)

Key = tuple[str, str]
Series = dict[Key, dict[float, float]]


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A series that changed: when after the fault began, from which band, to which value."""

    program: str
    metric: str
    after_s: float
    low: float
    high: float
    value: float
    constant: bool

    @property
    def words(self) -> str:
        """The series as Prometheus would name it."""
        return f"{self.metric} of {self.program}"


def series(scrapes: Sequence[Scrape]) -> Series:
    """Every series by time: gauges as they are, counters and histograms as what they grew by a second.

    The mean of a histogram is a series too. A counter that falls was restarted: it grew by its new value.
    """
    found: Series = {}
    for before, after in pairwise(scrapes):
        seconds = max(after.at - before.at, 1e-3)
        grown: dict[Key, float] = {}
        for key, value in after.values.items():
            if not key[1].partition("{")[0].endswith(COUNTERS):
                found.setdefault(key, {})[after.at] = value
            elif key in before.values or before.values.get((key[0], UP)):  # a label appears with its first event
                was = before.values.get(key, 0.0)
                grown[key] = value - was if value >= was else value
        for key, change in grown.items():
            found.setdefault(key, {})[after.at] = change / seconds
        for key, mean in _means(grown):
            found.setdefault(key, {})[after.at] = mean
    return found


def _means(grown: Mapping[Key, float]) -> Iterator[tuple[Key, float]]:
    for (program, name), total in grown.items():
        metric, brace, labels = name.partition("{")
        if metric.endswith("_sum"):
            stem = metric.removesuffix("_sum")
            count = grown.get((program, f"{stem}_count{brace}{labels}"), 0.0)
            if count:
                yield (program, f"mean of {stem}{brace}{labels}"), total / count


def moved(found: Series, began: float, until: float) -> list[Sighting]:
    """Every series that left its band between two times, by its first second outside; `began` ends the control."""
    seen = []
    for (program, metric), values in found.items():
        direction = _direction(metric)
        control = _control(found, (program, metric), began)
        if not direction or len(control) < CONTROL_MIN:
            continue
        low, high = min(control), max(control)
        # The band of a series is what it did in the control seconds, widened when it moved at all.
        least, most = (low, high) if low == high else (low - WIDER * abs(low), high + WIDER * abs(high))
        for at in sorted(at for at in values if began <= at <= until):
            if values[at] > most if direction > 0 else values[at] < least:
                after_s = round(at - began, 1)
                constant = low == high
                seen.append(
                    Sighting(
                        program=program,
                        metric=metric,
                        after_s=after_s,
                        low=low,
                        high=high,
                        value=values[at],
                        constant=constant,
                    )
                )
                break
    return seen


def _direction(metric: str) -> int:
    """1 when trouble raises the metric, -1 when it lowers it, 0 when the metric is none of trouble."""
    name = metric.partition("{")[0]
    return 1 if {name, metric} & RISES else -1 if name in FALLS else 0


def _control(found: Series, key: Key, began: float) -> list[float]:
    """The values of a series in the control seconds; a counter that was not there yet stood at nothing."""
    values = found[key]
    program, metric = key
    counter = metric.partition("{")[0].endswith(COUNTERS)
    times = found.get((program, UP), {}) if counter else values
    return [values.get(at, 0.0) for at in sorted({*times, *values}) if began - CONTROL_S <= at < began]


def sighted(
    scrapes: Sequence[Scrape], began: float, until: float, calm: Sequence[Scrape], calm_began: float
) -> list[Sighting]:
    """The sightings of a fault, the first and clearest first; `calm` is the burst without a fault."""
    quiet = moved(series(calm), calm_began, calm_began + until - began)
    # A metric that also left its band in the run without a fault, at the same second, does not count as having seen the
    # fault.
    usual = {(one.program, one.metric) for one in quiet}
    found = [one for one in moved(series(scrapes), began, until) if (one.program, one.metric) not in usual]
    # Of one second: whether a program answers at all comes first, then a series that was constant before.
    return sorted(found, key=lambda one: (one.after_s, one.metric != UP, not one.constant, one.metric, one.program))


def recovered_s(scrapes: Sequence[Scrape], began: float, ended: float, errors: str, errors_most: float) -> float | None:
    """Seconds from the fault's begin until all programs answer again and at most `errors_most` errors a second come.

    Good must be `RECOVERED` scrapes in a row, or all to the last one, after the fault ended. None when that never came.
    Programs that did not answer before the fault are not waited for.
    """
    found = series(scrapes)
    answered = {key for key, values in found.items() if key[1] == UP and 1.0 in _before(values, began)}
    bad = {
        scrape.at
        for scrape in scrapes
        if any(found[key].get(scrape.at) == 0.0 for key in answered)
        or sum(values.get(scrape.at, 0.0) for key, values in found.items() if key[1] == errors) > errors_most
    }
    times = [scrape.at for scrape in scrapes if scrape.at >= ended]
    for number, at in enumerate(times):
        if not bad.intersection(times[number : number + RECOVERED]):
            struck = [one for one in bad if began <= one < at]
            return round((at if struck else ended) - began, 1)
    return None


def _before(values: Mapping[float, float], began: float) -> list[float]:
    return [value for at, value in values.items() if began - CONTROL_S <= at < began]


def errors_a_second(scrapes: Sequence[Scrape], errors: str) -> float:
    """The most errors a second, over all programs, that a run had."""
    found = [values for key, values in series(scrapes).items() if key[1] == errors]
    return max((sum(values.get(scrape.at, 0.0) for values in found) for scrape in scrapes), default=0.0)
