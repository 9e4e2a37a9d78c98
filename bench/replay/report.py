"""The report of a replay as JSON: the offered arrivals, their outcomes and their latencies.

`shed` and `limited` count answers (503, 429); all other counts are arrivals: offered = accepted + failed + unknown. The
verdict is `fail`, `void` (this was not the burst that was to be sent) or `pass`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from .. import files
from ..config import Config
from ..outcome import REFUSED_BY_PLAN, UNSERVED_MAX, Outcome
from ..prediction.score import Scored
from ..rows import machine, percentile
from ..service import milliseconds
from . import burst
from .beats import Generator
from .check import Kind
from .cleanup import Cleanup
from .course import Course
from .cpu import TIERS
from .run import Run
from .seconds import Decile, Second, deciles, seconds_of

EXAMPLES_MAX: Final = 10
AS_RUN: Final = ("pending", "course", "generators", "interrupted", "stopped_by", "cleanup", "unchecked")
INTERRUPTED: Final = 130
Verdict = Literal["pass", "fail", "void"]
EXIT_CODES: Final[dict[Verdict, int]] = {"pass": 0, "fail": 1, "void": 3}
BROKEN: Final[tuple[Kind, ...]] = ("lost", "half", "doubled", "wrongly_late")


class Percentiles(msgspec.Struct, frozen=True):
    """Nearest-rank percentiles in ms; None when there are no values."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the `--report` file; the first block of names is fixed by the contract."""

    offered: int
    accepted: int
    replayed: int
    shed: int
    limited: int
    failed: int
    unknown: int
    lost: int
    half: int
    doubled: int
    wrongly_late: int
    ready: int
    rejected: int
    latency_ms: Percentiles  # from the intended time, so that a sender that waited does not shorten it
    ready_ms: Percentiles
    cpu_ms_per_pair: dict[str, float | None]
    lagged: float  # 0 if the senders kept up; else the p99 of the slowest generator, and the run is void

    void: bool
    lag_ms: Percentiles
    pending: int
    on_time: int
    late: int
    attempts: int
    bad_renditions: int
    ready_within_ms: float
    took_s: float
    moment_id: str
    composite_url: str | None
    trace: str
    target: tuple[str, ...]
    statuses: dict[str, int]
    examples: tuple[str, ...]
    course: Course
    seconds: tuple[Second, ...]
    uplinks: tuple[Decile, ...]
    trace_sha256: str
    scale: float
    settings: dict[str, str]  # of the stack and of the replay, as far as they are known
    machine: dict[str, str | int]
    breaks_by: str | None = None  # `model` or `recorded`: where the breaks of the trace come from
    broken: int = 0  # uploads with a break
    resumed: int = 0  # tries that went on with an upload
    sent_ratio: float | None = None  # bytes of bodies sent, to those of each accepted body once
    prediction: Scored | None = None  # of `--prediction`
    interrupted: bool = False  # the counts are those of the uploads that had ended
    verdict: Verdict
    voided: tuple[str, ...]  # why it is void
    stopped_by: str | None
    cleanup: Cleanup | None
    generators: tuple[Generator, ...]
    unserved: int = 0  # users who got an error to the end, or no answer
    unchecked: str | None = None  # why the posts could not be checked: what is lost is not known
    unmet: tuple[str, ...] = ()  # why a run failed in which no promise was broken

    @property
    def good(self) -> bool:
        """Whether the run came to its end, and passed."""
        return self.verdict == "pass" and not self.interrupted

    @property
    def exit_code(self) -> int:
        """That of the command."""
        return INTERRUPTED if self.interrupted else EXIT_CODES[self.verdict]


def percentiles(values: Iterable[float]) -> Percentiles:
    """Percentiles by nearest rank: the lowest value that p % of the values do not exceed, rounded to 0.1."""
    ranked = sorted(values)
    if not ranked:
        return Percentiles()
    return Percentiles(*(round(percentile(ranked, percent), 1) for percent in (50, 90, 99, 100)))


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What was replayed and at what: the trace's name and the SHA-256 of its file, how often, and known settings."""

    trace: str
    trace_sha256: str
    scale: float
    settings: dict[str, str]
    breaks_by: str | None = None


def build(run: Run, config: Config, origin: Origin, targets: Sequence[str]) -> Report:
    """The report of a run."""
    outcomes = run.outcomes
    accepted = [outcome for outcome in outcomes if outcome.acknowledged]
    answers = Counter(attempt.status for outcome in outcomes for attempt in outcome.attempts)
    unknown = sum(not outcome.answered for outcome in outcomes)
    users = {outcome.user for outcome in outcomes}
    posts = [post for post in run.posts if post.user_id in users]
    on_time = [post.user_id for post in posts if post.late is False]
    broken = Counter(finding.kind for finding in run.findings)
    lag = percentiles((outcome.attempts[0].started - outcome.intended) * 1000 for outcome in outcomes)
    voided, missing = voids(run, config), unmet(run)
    same: dict[str, Any] = {name: getattr(run, name) for name in AS_RUN} | {kind: broken[kind] for kind in BROKEN}
    same |= msgspec.structs.asdict(origin) | _resuming(run)
    same |= {"unserved": unserved(run), "unmet": () if voided else missing, "voided": voided}
    ready = [post.id for post in posts if post.state == "ready"]
    examples = [*missing, *(f"{finding.kind} {finding.user}: {finding.why}" for finding in run.findings)]
    return Report(
        offered=len(outcomes),
        accepted=len(accepted),
        replayed=sum(outcome.replayed for outcome in accepted),
        shed=answers[503],
        limited=answers[429],
        failed=len(outcomes) - len(accepted) - unknown,
        unknown=unknown,
        ready=len(ready),
        rejected=sum(post.state == "rejected" for post in posts),
        latency_ms=percentiles((outcome.finished - outcome.intended) * 1000 for outcome in accepted),
        ready_ms=percentiles(value * 1000 for value in run.ready_s.values()),
        cpu_ms_per_pair={tier: _per_pair(run.cpu_ms.get(tier), len(accepted)) for tier in TIERS},
        lagged=max((lagging for each in run.generators if (lagging := _lagging(each, config))), default=0.0),
        void=bool(voided),
        lag_ms=lag,
        on_time=len(on_time),
        late=sum(post.late is True for post in posts),
        attempts=sum(len(outcome.attempts) for outcome in outcomes),
        bad_renditions=len(run.bad_renditions),
        ready_within_ms=round(run.ready_within_s * 1000, 1),
        took_s=round(run.seconds, 1),
        moment_id=run.moment.id,
        composite_url=f"{targets[0]}/v1/posts/{min(ready)}/photos/composite/feed" if ready else None,
        target=tuple(targets),
        statuses={str(status): count for status, count in sorted(answers.items())},
        examples=tuple([*examples, *run.bad_renditions][:EXAMPLES_MAX]),
        seconds=seconds_of(outcomes, milliseconds(run.moment.fires_at) / 1000, run.ready_s, run.spent),
        uplinks=deciles(outcomes, {row.u: row.up for row in run.rows}, frozenset(on_time)),
        machine=machine(),
        verdict=verdict(run, voided),
        **same,
    )


def _resuming(run: Run) -> dict[str, int | float | None]:
    """What breaks and resumption came to."""
    return {
        "broken": sum(bool(row.d) for row in run.rows),
        "resumed": sum(attempt.resumed for outcome in run.outcomes for attempt in outcome.attempts),
        "sent_ratio": sent_ratio(outcome for outcome in run.outcomes if outcome.acknowledged),
    }


def sent_ratio(accepted: Iterable[Outcome]) -> float | None:
    """Bytes of bodies that these uploads sent in all their tries, to the bytes of their bodies; None without any."""
    found = tuple(accepted)
    least = sum(outcome.length for outcome in found)
    sent = sum(attempt.sent for outcome in found for attempt in outcome.attempts)
    return round(sent / least, 4) if least else None


def voids(run: Run, config: Config) -> tuple[str, ...]:
    """Why this was not the burst: nothing sent, a generator that lagged, died or has another time."""
    lagging = [each for each in run.generators if _lagging(each, config)]
    lags = [f"{each.name} lagged by {each.lag_p99_ms} ms (p99): the trace was not sent on time" for each in lagging]
    return (*(() if run.outcomes else ("nothing was sent",)), *run.faults, *lags)


def _lagging(generator: Generator, config: Config) -> float:
    """The lag of a generator that did not keep up; 0 when it did."""
    lag = generator.lag_p99_ms or 0.0
    return lag if lag > config.lag_p99_max_ms else 0.0


def unmet(run: Run) -> tuple[str, ...]:
    """What a run must show in any case, and did not: users were served, and what was accepted came to its end."""
    nobody = run.outcomes and not any(outcome.acknowledged for outcome in run.outcomes)
    failed, offered = unserved(run), len(run.outcomes)
    share = f"users who got an error to the end, or no answer: {failed} of {offered}, more than {UNSERVED_MAX:.0%}"
    return (
        *((f"the posts could not be checked: {run.unchecked}",) if run.unchecked else ()),
        *(("nobody was accepted",) if nobody else ()),
        *((share,) if failed > UNSERVED_MAX * offered else ()),
        *((f"accepted posts neither ready nor rejected in the end: {run.pending}",) if run.pending else ()),
    )


def unserved(run: Run) -> int:
    """Users whose last try got a 5xx that is no refusal by plan, or no answer that the trace did not break off."""
    breaks = {row.u: len(row.d or ()) for row in run.rows}
    return sum(
        breaks.get(one.user, 0) < len(one.attempts)
        if not one.status
        else one.status >= 500 and one.status not in REFUSED_BY_PLAN
        for one in run.outcomes
    )


def verdict(run: Run, voided: Sequence[str]) -> Verdict:
    """What follows from a run and from the reasons why it may be void."""
    # Where a generator died or had another time, wrongly late pairs may be its clock's: they make the run void, not
    # failed.
    broken = [one for one in run.findings if one.kind != "wrongly_late" or not run.faults]
    # Before `void`: a lost pair stays lost in a void run.
    if broken or run.bad_renditions or run.stopped_by or (run.cleanup and run.cleanup.left):
        return "fail"
    if voided:
        return "void"
    return "fail" if unmet(run) else "pass"


def _per_pair(spent_ms: float | None, pairs: int) -> float | None:
    return round(spent_ms / pairs, 3) if spent_ms is not None and pairs else None


def course_of(path: Path) -> Path:
    """Where the course of a report is drawn: beside it."""
    return path.with_suffix(".svg")


def write(report: Report, path: Path) -> None:
    """Write the report as JSON with an indent of two spaces, and its course as an SVG next to it."""
    files.write_json(path, report)
    files.write(course_of(path), burst.svg(report.course).encode())
