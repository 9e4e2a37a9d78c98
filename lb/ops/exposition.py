"""Writes a `/metrics` page: in the OpenMetrics form for those that ask for it, else in Prometheus' text form.

The same bytes as prometheus_client writes, in a fraction of its time (a test compares both): a page has a thousand
lines, and while it is written the event loop stands still. Only OpenMetrics says since when a counter counts
(`_created`) in a form of its own; in the text form that is a gauge. The same text as `storage/exposition.py`,
because the balancer imports no other package (a test compares both).
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.core import Metric, Sample
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

OPENMETRICS = "application/openmetrics-text"
APART = ("_created", "_gsum", "_gcount")  # samples that the text form has as families of their own


def page(registry: Collector, *, as_openmetrics: bool) -> tuple[bytes, str]:
    """The page, and its Content-Type."""
    lines: list[str] = []
    for metric in registry.collect():
        (_openmetrics if as_openmetrics else _text)(metric, lines)
    if as_openmetrics:
        return "\n".join([*lines, "# EOF\n"]).encode(), OPENMETRICS_TYPE
    return "".join(f"{line}\n" for line in lines).encode(), CONTENT_TYPE_LATEST


def _openmetrics(metric: Metric, lines: list[str]) -> None:
    lines.append(f"# HELP {metric.name} {_escaped(metric.documentation)}")
    lines.append(f"# TYPE {metric.name} {metric.type}")
    lines.extend(_lines(metric.samples))


def _text(metric: Metric, lines: list[str]) -> None:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    text = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
    lines.append(f"# HELP {name} {text}")
    lines.append(f"# TYPE {name} {metric.type}")
    lines.extend(_lines(one for one in metric.samples if not one.name.endswith(APART)))
    for suffix in APART:
        if found := [one for one in metric.samples if one.name == metric.name + suffix]:
            lines += [f"# HELP {metric.name}{suffix} {text}", f"# TYPE {metric.name}{suffix} gauge", *_lines(found)]


def _lines(samples: Iterable[Sample]) -> Iterable[str]:
    for sample in samples:
        yield f"{sample.name}{_labels(sample.labels)} {_number(sample.value)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())]) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call] # the library's
