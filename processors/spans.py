"""Spans of finished pairs for an OpenTelemetry collector, made afterwards from the times in their records.

A worker makes them when a post is ready, for each n-th pair, each that failed and each slow one. So the upload path
knows nothing of tracing. A thread of the library sends them; while the collector is away they are dropped. The trace
continues that of a trusted peer (`traceparent`), else its id is the id of the accepted try: a post leads to its trace.
Nothing in a span names a user. The packages are the group `otlp`, which the workers need only where this is set.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from storage.records import Post, to_ms
from storage.steps import steps

QUEUE_SPANS_MAX: Final = 2048
EXPORT_S: Final = 5.0
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

Sent = Callable[[Post], None]


class NoTracing(OSError):
    """The packages for OTLP are not installed."""


def is_chosen(post: Post, *, every: int, slow_ms: int) -> bool:
    """Whether this pair gets spans: it failed, was slow, was traced by a trusted peer, or is one of so many."""
    times = post.times
    if times.rendered_ms is None:
        return False
    parent = _TRACEPARENT.fullmatch(times.trace)
    traced = parent is not None and int(parent[3], 16) & 1
    ended_ms = times.rendered_ms if times.ready_ms is None else times.ready_ms
    failed = post.state == "rejected" or times.run > 1
    # By the attempt's random half, so that all programs choose the same pairs.
    return bool(failed or traced or ended_ms > slow_ms or int(post.attempt[12:] or "0", 16) % every == 0)


@contextlib.contextmanager
def sending(url: str, *, every: int, slow_s: float) -> Iterator[Sent]:
    """A function that sends the spans of a post, where it is chosen; one that does nothing without a URL. NoTracing."""
    if not url:
        yield _nothing
        return
    tracer = _Tracer(url)
    try:
        yield lambda post: tracer.send(post) if is_chosen(post, every=every, slow_ms=int(slow_s * 1000)) else None
    finally:
        tracer.close()


def _nothing(_: Post) -> None:
    """Send no spans."""


class _Tracer:
    """Spans over the library's exporter."""

    def __init__(self, url: str) -> None:
        try:
            # Here, because only who sets the URL needs the packages.
            from opentelemetry import trace  # noqa: PLC0415
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
        except ImportError as error:
            told = "SNAPSURGE_PROCESSORS_OTLP_URL needs the packages of the group `otlp` in pyproject.toml"
            raise NoTracing(f"{told}: {error}") from None

        class Ids(RandomIdGenerator):
            """The trace id of the pair that is being sent."""

            trace_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._api, self._ids = trace, Ids()
        resource = Resource.create({"service.name": "snapsurge"})
        self._provider: Any = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS_MAX))
        self._tracer: Any = self._provider.get_tracer("snapsurge.processors")

    def send(self, post: Post) -> None:
        """Queue the spans of a pair: the root, and one for each step."""
        found, _ = steps(post.times)
        if not found:
            return
        received_ms = to_ms(post.received_at)
        attributes = {
            "snapsurge.post_id": post.id,
            "snapsurge.moment_id": post.moment_id,
            "snapsurge.state": post.state,
            "snapsurge.retry": post.times.retry,
            "snapsurge.run": post.times.run,
            "snapsurge.late_by_ms": post.late_by_ms or 0,
        }
        self._ids.trace_id = int(post.attempt or "0", 16) or 1
        root = self._tracer.start_span(
            "pair", context=self._parent(post.times.trace), start_time=_ns(received_ms), attributes=attributes
        )
        if post.state == "rejected":
            root.set_status(self._api.StatusCode.ERROR, post.reason or "")
        inside = self._api.set_span_in_context(root)
        for step in found:
            labels = {"snapsurge.kind": step.kind, "snapsurge.where": step.where}
            start_ns = _ns(received_ms + step.from_ms)
            span = self._tracer.start_span(step.name, context=inside, start_time=start_ns, attributes=labels)
            span.end(end_time=max(_ns(received_ms + step.to_ms), start_ns))
        root.end(end_time=_ns(received_ms + found[-1].to_ms))

    def close(self) -> None:
        """Send what waits, for `EXPORT_S` at most."""
        self._provider.force_flush(int(EXPORT_S * 1000))
        self._provider.shutdown()

    def _parent(self, traceparent: str) -> Any:  # noqa: ANN401 - the library's context
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is None:
            return self._api.set_span_in_context(self._api.INVALID_SPAN)
        sampled = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        remote = self._api.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=sampled)
        return self._api.set_span_in_context(self._api.NonRecordingSpan(remote))


def _ns(ms: int) -> int:
    return ms * 1_000_000
