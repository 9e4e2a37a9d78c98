"""The result table and the chart of the overload bench."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ..drawing import page
from ..outcome import Outcome
from ..rows import Row, judged, percentile

SETTLE_S: Final = 2.0
LAG_MS_MAX: Final = 250
BUDGET_MIB: Final = 32
WIDTH: Final = 860
PANEL: Final = 120
LEFT: Final = 60
TITLE: Final = "Accepted (bars) and shed (line) a second; green: capacity"


class Sample(msgspec.Struct, frozen=True):
    """One reading: the node's RSS over idle in bytes; until now, CPU seconds of node and balancer and phase counts."""

    rss: int
    node_s: float
    lb_s: float
    accepted: int
    shed: int


class Phase(msgspec.Struct, kw_only=True):
    """A load of `times` the capacity for `seconds`, then just below capacity for `after_s`; times in Unix seconds."""

    times: float
    slow: bool
    capacity: float
    seconds: float
    after_s: float
    began: float
    offered: int = 0
    arrived: list[float] = []
    accepted: list[float] = []
    shed: list[float] = []
    try_s: list[float] = []
    whole_s: list[float] = []
    samples: list[Sample] = []
    wrongly_late: int = 0
    lag_s: float = 0.0

    @property
    def name(self) -> str:
        """The phase's name in the table."""
        return f"{self.times:g}x{', store at a tenth' if self.slow else ''}"

    def accept(self, outcome: Outcome) -> None:
        """Count an accepted pair and its latencies."""
        last = outcome.attempts[-1]
        self.accepted.append(last.finished)
        self.try_s.append(last.finished - last.started)
        self.whole_s.append(last.finished - outcome.intended)

    def goodput(self, first: float, last: float) -> float:
        """Pairs accepted a second between two times, in seconds after the phase began."""
        return sum(first <= at - self.began < last for at in self.accepted) / (last - first)

    @property
    def steady(self) -> float:
        """The goodput under load, without the first `SETTLE_S`."""
        return self.goodput(min(SETTLE_S, self.seconds / 2), self.seconds)


def rows(phases: Sequence[Phase]) -> Iterable[Row]:
    """All rows of the table."""
    fast = [phase for phase in phases if not phase.slow]
    # The highest mean goodput of the phases at full speed.
    peak = max(phase.steady for phase in fast)
    yield judged("capacity", "pairs/s", fast[0].capacity)
    for phase in phases:
        # With a slow store the ratio is to the capacity measured with that store.
        yield from _of(phase, phase.capacity if phase.slow else peak)
    for phase in (phase for phase in phases if phase.after_s):
        first = phase.seconds + min(30.0, phase.after_s / 2)
        back = phase.goodput(first, phase.seconds + phase.after_s)
        # After the overload it is to the arrivals of the same seconds.
        came = sum(first <= at - phase.began for at in phase.arrived) / (phase.seconds + phase.after_s - first)
        yield _goodput(f"goodput {first - phase.seconds:g} s after {phase.name}", back, came, 0.95)
    for tier in ("node_s", "lb_s"):
        cost = _shed_ms(fast[0], fast[-1], tier)
        yield judged(f"CPU of the {tier[:-2]} for one shed request", "CPU ms", cost)


def _of(phase: Phase, peak: float) -> Iterable[Row]:
    """The rows of one phase."""
    yield _goodput(f"goodput at {phase.name}", phase.steady, peak, 0.9 if phase.times == 10 else None)
    yield judged(f"p99 of accepted tries at {phase.name}", "ms", _p99_ms(phase.try_s))
    yield judged(f"p99 from first try to accepted at {phase.name}", "ms", _p99_ms(phase.whole_s))
    yield judged(f"shed at {phase.name}", "answers", len(phase.shed))
    behind_ms, case = phase.lag_s * 1000, f"sender behind its time at {phase.name}, else the phase is void"
    yield judged(case, "ms", behind_ms, ratio=behind_ms / LAG_MS_MAX, at_most=1)
    late = phase.wrongly_late
    yield judged(f"wrongly late at {phase.name}", "pairs", late, ratio=late, at_most=0)
    grown = max((sample.rss for sample in phase.samples), default=0) / 2**20
    case = f"node's RSS over idle at {phase.name}, to its budget of {BUDGET_MIB} MiB"
    yield judged(case, "MiB", grown, ratio=grown / BUDGET_MIB, at_most=1)


def _goodput(case: str, ours: float, peak: float, aim: float | None) -> Row:
    return judged(case, "pairs/s", ours, ratio=ours / peak if peak else 0.0, at_least=aim)


def _p99_ms(seconds: Sequence[float]) -> float:
    return percentile(sorted(seconds), 99) * 1000 if seconds else 0.0


def _shed_ms(base: Phase, most: Phase, tier: str) -> float:
    """CPU ms of one shed request, from the CPU and the counts of the lightest and the heaviest phase."""
    spent, accepted, shed = zip(*(_grown(phase, tier) for phase in (base, most)), strict=True)
    # Cramer's rule: two phases give two equations in the CPU of an accepted pair and of a shed request.
    determinant = accepted[0] * shed[1] - accepted[1] * shed[0]
    return 1000 * (spent[1] * accepted[0] - spent[0] * accepted[1]) / determinant if determinant else 0.0


def _grown(phase: Phase, tier: str) -> tuple[float, int, int]:
    first, last = phase.samples[0], phase.samples[-1]
    return getattr(last, tier) - getattr(first, tier), last.accepted - first.accepted, last.shed - first.shed


def chart(phases: Sequence[Phase]) -> str:
    """An SVG of one panel a phase: pairs accepted (bars) and answers shed (line) in each second; capacity as a line."""
    height = 50 + PANEL * len(phases)
    parts = (part for number, phase in enumerate(phases) for part in _panel(phase, 50 + PANEL * number))
    return page(WIDTH, height, TITLE, parts)


def _panel(phase: Phase, top: int) -> Iterable[str]:
    seconds = max(1, math.ceil(phase.seconds + phase.after_s))
    taken, shed = (
        [_in_second(found, phase.began + at) for at in range(seconds)] for found in (phase.accepted, phase.shed)
    )
    step, floor = (WIDTH - LEFT - 20) / seconds, top + PANEL - 24
    most = max(phase.capacity * 2, *taken, 1)
    scale, shed_scale = (PANEL - 44) / most, (PANEL - 44) / max(*shed, 1)
    yield f'<text x="16" y="{top + 12}" font-weight="600">{phase.name}, up to {max(shed)} shed a second</text>'
    for at, count in enumerate(taken):
        colour = "#c2410c" if at < phase.seconds else "#fdba74"
        x, tall = LEFT + at * step, count * scale
        yield f'<rect x="{x:.1f}" y="{floor - tall:.1f}" width="{step * 0.8:.1f}" height="{tall:.1f}" fill="{colour}"/>'
    points = " ".join(f"{LEFT + (at + 0.4) * step:.1f},{floor - n * shed_scale:.1f}" for at, n in enumerate(shed))
    yield f'<polyline points="{points}" fill="none" stroke="#475569"/>'
    rule = floor - phase.capacity * scale
    yield f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{rule:.1f}" y2="{rule:.1f}" stroke="#16a34a"/>'
    yield f'<text x="{LEFT - 6}" y="{rule + 4:.1f}" text-anchor="end">{phase.capacity:.1f}</text>'


def _in_second(found: Sequence[float], second: float) -> int:
    return sum(second <= at < second + 1 for at in found)
