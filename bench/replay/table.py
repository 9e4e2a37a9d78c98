"""The report as a table for the console: counts first, then broken promises in red, then times."""

from typing import Final

import msgspec
from rich.markup import escape
from rich.table import Table

from .report import BROKEN, Percentiles, Report, Verdict

COLOURS: Final[dict[Verdict, str]] = {"pass": "green", "fail": "red", "void": "yellow"}


def table(report: Report) -> Table:
    """Every number of the report except the machine's; a number that should be 0 and is not is red."""
    shown = Table("", "", title=f"moment {report.moment_id}", show_header=False)
    for name in ("offered", "accepted", "replayed", "shed", "limited", "failed", "unknown", "unserved"):
        shown.add_row(name, str(getattr(report, name)))
    shown.add_section()
    for name in (*BROKEN, "bad_renditions", "pending"):
        count = getattr(report, name)
        shown.add_row(name.replace("_", " "), f"[bold red]{count}[/]" if count else "[green]0[/]")
    shown.add_section()
    for name in ("on_time", "late", "ready", "rejected"):
        shown.add_row(name.replace("_", " "), str(getattr(report, name)))
    shown.add_section()
    if report.breaks_by:
        shown.add_row(f"uploads that break ({report.breaks_by})", f"{report.broken}, {report.resumed} tries resumed")
        shown.add_row("bytes sent, to the least", f"{report.sent_ratio or 0:.3f}")
        shown.add_section()
    for label, name in (("latency ms", "latency_ms"), ("time to ready ms", "ready_ms"), ("sender's lag ms", "lag_ms")):
        shown.add_row(f"{label} p50 / p90 / p99 / max", _spread(getattr(report, name)))
    cpu = (f"{tier} {'-' if ms is None else ms}" for tier, ms in report.cpu_ms_per_pair.items())
    shown.add_row("CPU ms per pair", ", ".join(cpu))
    shown.add_row("seconds", str(report.took_s))
    if report.interrupted:
        shown.add_row("[bold red]INTERRUPTED[/]", "only the uploads that had ended are counted")
    stopped = (report.stopped_by,) if report.stopped_by else ()
    for word, reasons in (("VOID", report.voided), ("STOPPED", stopped), ("FAILED", report.unmet)):
        for reason in reasons:
            shown.add_row(f"[bold red]{word}[/]", escape(reason))
    if report.cleanup:
        shown.add_row("cleanup", escape(report.cleanup.words().removeprefix("cleanup: ")))
    shown.add_row("verdict", f"[bold {COLOURS[report.verdict]}]{report.verdict}[/]")
    return shown


def _spread(found: Percentiles) -> str:
    return " / ".join("-" if value is None else f"{value:.0f}" for value in msgspec.structs.astuple(found))
