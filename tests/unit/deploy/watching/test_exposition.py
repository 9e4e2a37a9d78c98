"""A page of metrics: what the view uses of it, and nothing else."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deploy.watching.exposition import LINE_CHARS_MAX, SAMPLES_MAX, TEXT_MAX, UPLOAD_SECONDS, Malformed, parse
from storage.histograms import Durations


def test_the_samples_are_those_of_the_librarys_parser() -> None:
    """Labels with everything that is escaped, histograms, numbers in any form."""
    registry = CollectorRegistry()
    gauge = Gauge("snapsurge_redis_up", "x", ["shard"], registry=registry)
    for value, name in enumerate(('a"b', "back\\slash", "{br}ace", "com,ma", "", "ünï")):
        gauge.labels(name).set(value * 1e9)
    Counter("snapsurge_lb_tickets", "x", ["outcome"], registry=registry).labels("given").inc(3)
    Durations(UPLOAD_SECONDS.removesuffix("_bucket"), "x", label="route", registry=registry).series("upload").observe(
        0.2
    )
    text = generate_latest(registry).decode()
    wanted = dict.fromkeys(("snapsurge_redis_up", "snapsurge_lb_tickets_total", UPLOAD_SECONDS), "")

    found = parse(text, wanted).samples

    library = [one for family in text_string_to_metric_families(text) for one in family.samples]
    assert found == {(one.name, tuple(sorted(one.labels.items()))): one.value for one in library if one.name in wanted}
    assert len(found) == 6 + 1 + 68


def test_other_samples_and_labels_are_not_read() -> None:
    """A name that only begins like a known one, a comment, another route."""
    text = (
        "# HELP snapsurge_workers x\n# TYPE snapsurge_workers gauge\nsnapsurge_workers 2\nsnapsurge_workers_other 3\n"
        f'other 4\n{UPLOAD_SECONDS}{{route="post",le="1.0"}} 5\n'
        f'{UPLOAD_SECONDS}{{le="1.0",route="upload"}} 6 1700000000\n\n'
    )
    page = parse(text)

    assert page.samples == {
        ("snapsurge_workers", ()): 2.0,
        (UPLOAD_SECONDS, (("le", "1.0"), ("route", "upload"))): 6.0,
    }
    assert page.get("snapsurge_workers") == 2.0
    assert page.get("snapsurge_workers", node="a") is None
    assert list(page.each(UPLOAD_SECONDS)) == [({"le": "1.0", "route": "upload"}, 6.0)]


def test_what_is_not_finite_is_left_out() -> None:
    """JSON has no NaN."""
    page = parse("snapsurge_workers NaN\nsnapsurge_lb_panic +Inf\nsnapsurge_lb_clients 1")
    assert {name for name, _ in page.samples} == {"snapsurge_lb_clients"}
    assert all(math.isfinite(value) for value in page.samples.values())


@pytest.mark.parametrize(
    "text",
    [
        "snapsurge_workers",
        "snapsurge_workers x",
        "snapsurge_workers ",
        'snapsurge_redis_up{shard="a} 1',
        "snapsurge_redis_up{shard} 1",
        f'{UPLOAD_SECONDS}{{le="x",route="upload"}} 1',
        f'{UPLOAD_SECONDS}{{le="NaN",route="upload"}} 1',
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str) -> None:
    """With its beginning, and without its control characters."""
    with pytest.raises(Malformed, match="snapsurge_") as raised:
        parse(f"snapsurge_lb_panic 1\n{text}\n")
    assert "\n" not in str(raised.value)


def test_a_page_of_a_stranger_has_bounds() -> None:
    """Of a line, because each series is kept, of the samples, and of a value, because sums must be numbers."""
    fits = 'snapsurge_redis_up{shard="%s"} 1' % ("x" * (LINE_CHARS_MAX - 30))
    assert len(fits) == LINE_CHARS_MAX
    assert len(parse(fits).samples) == 1
    with pytest.raises(Malformed, match="too long a line"):
        parse(fits.replace("x", "xx", 1))
    many = [f'snapsurge_redis_up{{shard="{number}"}} 1' for number in range(SAMPLES_MAX + 1)]
    assert len(parse("\n".join(many[:-1])).samples) == SAMPLES_MAX
    with pytest.raises(Malformed, match="too many"):
        parse("\n".join(many))
    assert parse("snapsurge_workers 1e15\nsnapsurge_lb_panic 1.1e15\nsnapsurge_lb_clients -1e300").samples == {
        ("snapsurge_workers", ()): 1e15
    }


def test_labels_are_safe_for_a_terminal() -> None:
    """A program of a stranger cannot move the cursor, nor fill the screen."""
    page = parse(
        'snapsurge_redis_up{shard="a\x1b[2Jb\u2028"} 1\nsnapsurge_redis_up{shard="%s"} 1' % ("x" * (TEXT_MAX + 1))
    )
    shown = [labels["shard"] for labels, _ in page.each("snapsurge_redis_up")]
    assert shown == ["a\ufffd[2Jb\ufffd", "x" * TEXT_MAX]
