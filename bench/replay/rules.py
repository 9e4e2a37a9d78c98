"""Health rules that stop a rehearsal by itself: `--stop-when "shed>5%"`, checked over a sliding window of 10 seconds.

- `shed>P%`: of the answers in the window, more than P % were 503.
- `failed>P%`: of the uploads that ended in the window, more than P % were not acknowledged.
- `p99>T`: the 99th percentile of upload times, from the intended time, is above T (`ms` or `s`): those acknowledged in
  the window, and those in flight that already take longer. Without the latter, a service that stands still would look
  healthy, because no upload ends.
- `queue_oldest>T`: the newest look at the queue within the window found a ready job older than T.

A share or a percentile of less than `SAMPLES_MIN` is not judged: the first answer of a burst is no 100 %. Pure.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, Literal, cast

import msgspec

from ..errors import BenchError
from ..rows import percentile
from .beats import Beat
from .seconds import upload_ms

WINDOW_S: Final = 10.0
# The first answer of a burst is no 100 %.
SAMPLES_MIN: Final = 20
SHARE: Final = re.compile(r"(shed|failed)>([0-9]+(?:\.[0-9]+)?)%")
TIME: Final = re.compile(r"(p99|queue_oldest)>([0-9]+(?:\.[0-9]+)?)(ms|s)")

Metric = Literal["shed", "failed", "p99", "queue_oldest"]


class BadRule(BenchError):
    """The text of a rule is malformed, or the rule could never hold."""


class Rule(msgspec.Struct, frozen=True):
    """Stop when the metric is above the limit, in % or ms."""

    metric: Metric
    limit: float
    text: str


def parse(text: str) -> Rule:
    """The rule that the text states; BadRule for anything else."""
    found = SHARE.fullmatch(text)
    if found:
        if float(found[2]) >= 100:
            raise BadRule(f"--stop-when {text}: a share is never above 100 %")
        return Rule(cast("Metric", found[1]), float(found[2]), text)
    found = TIME.fullmatch(text)
    if not found:
        raise BadRule(f"--stop-when {text}: a rule is shed>P%, failed>P%, p99>T or queue_oldest>T, T in ms or s")
    return Rule(cast("Metric", found[1]), float(found[2]) * (1000 if found[3] == "s" else 1), text)


class _Seen(msgspec.Struct, frozen=True):
    at: float
    statuses: Counter[int]
    ended: int
    failed: int
    times_ms: tuple[float, ...]


class Health:
    """Judges rules by what was seen in the last `WINDOW_S`; times are Unix seconds of one clock."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._seen: deque[_Seen] = deque()
        self._waiting: dict[int, tuple[float, ...]] = {}
        self._oldest: tuple[float, float] | None = None

    def note(self, now: float, beats: Iterable[Beat]) -> None:
        """Take in what the generators did."""
        for beat in beats:
            outcomes = [each.outcome for each in beat.ended]
            times = tuple(upload_ms(outcome) for outcome in outcomes if outcome.acknowledged)
            failed = len(outcomes) - len(times)
            self._seen.append(_Seen(now, Counter(beat.statuses), len(outcomes), failed, times))
            self._waiting[beat.generator] = beat.waiting
        while self._seen and self._seen[0].at <= now - WINDOW_S:
            self._seen.popleft()

    def look(self, now: float, oldest_s: float) -> None:
        """Take in the age of the oldest ready job."""
        self._oldest = (now, oldest_s)

    def broken(self, now: float) -> str | None:
        """The first rule that is broken now, with what was found; None when all hold or cannot be judged."""
        for rule in self.rules:
            value = self._value(rule, now)
            if value is not None and value > rule.limit:
                unit = "%" if rule.metric in {"shed", "failed"} else " ms"
                return f"{rule.text}: {value:.1f}{unit} in {WINDOW_S:.0f} s"
        return None

    def _value(self, rule: Rule, now: float) -> float | None:
        if rule.metric == "queue_oldest":
            # An old look says nothing of now: the service may not answer any more.
            fresh = self._oldest is not None and self._oldest[0] > now - WINDOW_S
            return self._oldest[1] * 1000 if self._oldest and fresh else None
        if rule.metric == "p99":
            times = [ms for seen in self._seen for ms in seen.times_ms]
            # Without those in flight a service that stands still would look healthy, because no upload ends.
            ages = ((now - intended) * 1000 for waiting in self._waiting.values() for intended in waiting)
            ranked = sorted([*times, *(age for age in ages if age > rule.limit)])
            return percentile(ranked, 99) if len(ranked) >= SAMPLES_MIN else None
        if rule.metric == "shed":
            # Status 0 is no answer.
            answers = [Counter({key: n for key, n in seen.statuses.items() if key}) for seen in self._seen]
            whole, part = sum(each.total() for each in answers), sum(each[503] for each in answers)
        else:
            whole, part = sum(seen.ended for seen in self._seen), sum(seen.failed for seen in self._seen)
        return 100 * part / whole if whole >= SAMPLES_MIN else None
