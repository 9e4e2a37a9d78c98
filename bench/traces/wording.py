"""A trace's description as lines for a person: one word, then its figures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .description import Description, Peak
from .fits import ArrivalsFit, SizesFit

BARS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 60


def lines(found: Description) -> Iterator[str]:
    """A trace's description as lines of text for a terminal."""
    arrivals, attempts, sent = found.arrivals, found.attempts, found.bytes
    yield f"{found.trace}: {found.header.kind}, window {found.header.window_s} s, sha256 {found.trace_sha256[:12]}"
    yield _line(
        "arrivals",
        f"{arrivals.users:,} users, {arrivals.seconds['min']:.1f} to {arrivals.seconds['max']:.1f} s after the moment",
    )
    yield _line("", f"{100 * arrivals.on_time:.1f} % on time")
    yield _line("", _peaks(arrivals.peaks))
    yield _line("", f"{bars(arrivals.per_s)}  {len(arrivals.per_s)} s")
    yield _line("attempts", f"{attempts.total:,}: {_counts(attempts.by_number, 'no. ')}")
    yield _line("", f"answers: {_counts(attempts.answers, '')}")
    if attempts.total > arrivals.users:
        yield _line("", f"with retries: {_peaks(attempts.peaks)}")
    yield _line("bytes", f"{amount(sent.total)} of photos")
    yield _line("", _peaks(sent.peaks, "B"))
    yield _line("", f"peak on the uplinks {amount(sent.uplinks_per_s.most)}/s at {sent.uplinks_per_s.at_s:.1f} s")
    yield _line("in flight", f"peak {found.in_flight.peak.most:,.0f} uploads at {found.in_flight.peak.at_s:.1f} s")
    yield _line("", f"{bars(found.in_flight.per_s)}  {len(found.in_flight.per_s)} s")
    yield _line("", f"an upload takes {_quantiles(found.in_flight.upload_s, '{:.2f} s')}")
    if found.breaks:
        share, total = 100 * found.breaks.share, found.breaks.total
        yield _line("breaks", f"{share:.1f} % of the uploads, {total:,} in all, by {found.breaks.source}")
        yield _line("", f"pauses {_quantiles(found.breaks.pause_s, '{:.1f} s')}")
    yield _line("photo", _quantiles(found.photo_bytes))
    yield _line("uplink", f"{_quantiles(found.uplink_bytes_per_s)} (a second)")
    yield from _fitted(found.fit.arrivals, found.fit.sizes)
    if found.fit.arrivals and found.fit.synth:
        yield _line("like it" if found.fit.arrivals.goodness.fits else "nearest", found.fit.synth)


def _fitted(arrivals: ArrivalsFit | None, sizes: SizesFit | None) -> Iterator[str]:
    if arrivals is None or sizes is None:
        yield _line("fit", "too few arrivals to fit distributions")
        return
    made, errors = arrivals.arrivals, arrivals.errors
    parts = (
        ("push over", made.fanout_s, " s", "fanout_s"),
        ("reaction", made.median_s, " s", "median_s"),
        ("sigma", made.sigma, "", "sigma"),
        ("capture", made.capture_s, " s", "capture_s"),
    )
    yield _line(
        "fit", ", ".join(f"{word} {value:.4g}{unit}{_error(errors, name)}" for word, value, unit, name in parts)
    )
    yield _line("", f"arrivals: KS distance {arrivals.goodness.distance:g}, {arrivals.goodness.sense}")
    yield _line("", f"photo {amount(sizes.photo_bytes)}, sigma {sizes.photo_sigma:.3g}")
    yield _line("", f"sizes: KS distance {sizes.goodness.distance:g}, {sizes.goodness.sense}")


def _error(errors: Mapping[str, float | None], name: str) -> str:
    if name not in errors:
        return " (given)"
    error = errors[name]
    return " (not determined)" if error is None else f" ± {100 * error:.2g} %"


def _line(word: str, text: str) -> str:
    return f"{word:<10} {text}"


def _peaks(peaks: Mapping[str, Peak], unit: str = "") -> str:
    shown = {seconds: amount(peak.most) if unit else f"{peak.most:,.0f}" for seconds, peak in peaks.items()}
    return "peak " + ", ".join(
        f"{shown[seconds]} in {seconds} s (at {peak.at_s:.1f} s)" for seconds, peak in peaks.items()
    )


def _counts(counts: Mapping[str, int], word: str) -> str:
    return ", ".join(f"{word}{name} {count:,}" for name, count in counts.items())


def _quantiles(values: Mapping[str, float], form: str = "") -> str:
    return ", ".join(f"{name} {form.format(value) if form else amount(value)}" for name, value in values.items())


def amount(value: float) -> str:
    """Bytes with a decimal unit and three digits."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"


def bars(values: Sequence[int]) -> str:
    """A series as a line of bars, each the greatest of its part of the time; nothing is a space."""
    count = min(COLUMNS, len(values))
    most = max(values, default=0)
    if not most:
        return ""
    parts = [values[len(values) * at // count : len(values) * (at + 1) // count] for at in range(count)]
    return "".join(" " if not max(part) else BARS[(max(part) * len(BARS) - 1) // most] for part in parts)
