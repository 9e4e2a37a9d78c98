"""Reads a page of metrics in Prometheus' text format: the samples that the live view uses, and no others. Pure."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

# Of 1,000 nodes with two histograms; beyond that the parser reads the series that were used least again.
SERIES_MAX: Final = 262_144

TEXT_MAX: Final = 120
LINE_CHARS_MAX: Final = 2_000  # A series of ours has at most some hundred; each that was read is kept.
SAMPLES_MAX: Final = 65_536  # Of one page; a balancer with 1,000 nodes has some 10,000 that the view uses.
VALUE_MAX: Final = 1e15  # Beyond it a number is none of ours, and sums of them could not be shown.

# The samples that the view uses, by name, and the label that a line must have.
_PLAIN: Final = """
process_start_time_seconds
snapsurge_autoscaler_elected
snapsurge_dead_letters
snapsurge_ingest_draining
snapsurge_ingest_in_flight_bytes
snapsurge_ingest_in_flight_bytes_max
snapsurge_ingest_in_flight_requests
snapsurge_ingest_not_ready
snapsurge_ingest_requests_total
snapsurge_lb_clients
snapsurge_lb_draining
snapsurge_lb_in_flight
snapsurge_lb_node_answer_seconds
snapsurge_lb_node_ejections_total
snapsurge_lb_node_in_flight
snapsurge_lb_node_requests_total
snapsurge_lb_node_ring_share
snapsurge_lb_node_starting
snapsurge_lb_node_up
snapsurge_lb_panic
snapsurge_lb_requests_total
snapsurge_lb_tickets_total
snapsurge_moment_closes_timestamp_seconds
snapsurge_moment_counts_complete
snapsurge_moment_fires_timestamp_seconds
snapsurge_moment_posts
snapsurge_posts_total
snapsurge_queue_deferred
snapsurge_queue_events_total
snapsurge_queue_leased
snapsurge_queue_measured_timestamp_seconds
snapsurge_queue_oldest_seconds
snapsurge_queue_ready
snapsurge_redis_memory_bytes
snapsurge_redis_memory_max_bytes
snapsurge_redis_up
snapsurge_store_failures_total
snapsurge_sweep_behind_seconds
snapsurge_swept_lost_total
snapsurge_tier_desired
snapsurge_worker_claims_total
snapsurge_workers
snapsurge_workers_desired
"""
UPLOAD_SECONDS: Final = "snapsurge_ingest_request_seconds_bucket"
STAGE_SECONDS: Final = "snapsurge_stage_seconds_bucket"
WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(_PLAIN.split(), ""),
    UPLOAD_SECONDS: 'route="upload"',
    STAGE_SECONDS: 'stage="store"',
}

# A sample's name, and its labels by name.
Series = tuple[str, tuple[tuple[str, str], ...]]


class Malformed(Exception):
    """The page is not in Prometheus' text format; the text names the line."""


class Page(msgspec.Struct, frozen=True):
    """The samples of one page."""

    samples: Mapping[Series, float]

    def get(self, name: str, **labels: str) -> float | None:
        """The value of a sample; None when the page has no such sample."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def each(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and values of all samples with this name."""
        for (found, labels), value in self.samples.items():
            if found == name:
                yield dict(labels), value


def parse(text: str, wanted: Mapping[str, str] = WANTED) -> Page:
    """The wanted samples of a page, without values that are not finite or beyond `VALUE_MAX`; Malformed."""
    found: dict[Series, float] = {}
    for line in text.split("\n"):  # Labels may hold what Unicode calls the end of a line.
        end = line.find("{")
        name = line[:end] if end > 0 else line.partition(" ")[0]
        label = wanted.get(name)
        # Before it is parsed: most of a page's hundreds of lines are buckets of histograms that the view does not use.
        if label is None or label not in line:
            continue
        if len(line) > LINE_CHARS_MAX or len(found) >= SAMPLES_MAX:
            raise Malformed(f"too long a line, or too many samples: {line[:TEXT_MAX]!r}")
        cut = line.rfind("}") + 1 or len(name)
        try:
            value = float(line[cut:].split()[0])  # A timestamp may follow the value.
            if abs(value) <= VALUE_MAX:
                found[_series(line[:cut])] = value
        except (ValueError, IndexError, KeyError) as error:
            raise Malformed(f"not a line of Prometheus' text format: {line[:120]!r}") from error
    return Page(found)


# The same series stand in the next page. prometheus_client's parser reads each once; after that a line costs a look-up
# and a number.
@lru_cache(maxsize=SERIES_MAX)
def _series(text: str) -> Series:
    """The series that stands before a value; ValueError."""
    (family,) = text_string_to_metric_families(f"{text} 0\n")
    (sample,) = family.samples
    if math.isnan(float(sample.labels.get("le", 0))):
        raise ValueError("a bound of a histogram that is no number")
    return sample.name, tuple(sorted((name, printable(value)) for name, value in sample.labels.items()))


def printable(text: str) -> str:
    """A text from elsewhere as a terminal may show it: no control characters, and not endless."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:TEXT_MAX])
