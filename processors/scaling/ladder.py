"""The ladder: how many nodes, balancers and workers a moment needs at which second, as planned before it.

The file is the answer of `bench plan --json`, or any JSON object with
`"ladder": [{"at_s": -300, "tier": "node", "count": 30}, …]`: from `at_s` seconds after the moment fires (negative:
before), `count` of this tier, until the tier's next step. A ladder counts from its first step until the moment's window
has been closed for `hold_s` and `down_s`, and then for as long as the backlog is not drained, which has an end too.
Moments at one time do not add up: the largest count is taken.

Pure. Load does not move these numbers: a node that starts when the burst has begun is too late for it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from .sizing import Limits, Load, Moment

TIERS = ("lb", "node", "worker")
COUNT_MAX = 100_000
# A plan for more than a day before the moment would hide the difference between two daily moments.
AT_S_MAX = 24 * 3600.0
# After a window and its holds, a backlog keeps the machines for at most this long: it may come from elsewhere.
UNDRAINED_S_MAX = 3600.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From `at_s` seconds after the moment fires, `count` of a tier."""

    at_s: float
    tier: str
    count: int


class _File(msgspec.Struct, frozen=True):
    ladder: tuple[Step, ...]


Ladder = Sequence[Step]


def parsed(text: bytes) -> Ladder:
    """The steps of a file in the order of time; ValueError says what is wrong with it."""
    steps = msgspec.json.decode(text, type=_File).ladder
    for number, step in enumerate(steps):
        if step.tier not in TIERS:
            raise ValueError(f"step {number}: unknown tier {step.tier!r}, known are {', '.join(TIERS)}")
        if not 0 <= step.count <= COUNT_MAX:
            raise ValueError(f"step {number}: a count of {step.count} is not within 0 … {COUNT_MAX}")
        if not abs(step.at_s) <= AT_S_MAX:
            raise ValueError(f"step {number}: {step.at_s:g} s is more than {AT_S_MAX:g} s from the moment")
    return sorted(steps, key=lambda step: step.at_s)


def lead_s(ladder: Ladder) -> float:
    """Seconds before a moment at which its first step is due."""
    return max([0.0, *(-step.at_s for step in ladder)])


def counts(
    ladder: Ladder, schedule: Iterable[Moment], limits: Limits, load: Load | None, *, now_ms: int
) -> dict[str, int]:
    """The count of each tier of the ladder now; 0 while no moment needs the tier, which its own minimum bounds."""
    drained = load is not None and load.oldest_s <= limits.drain_s
    found = dict.fromkeys((step.tier for step in ladder), 0)
    for moment in schedule:
        since_s = (now_ms - moment.fires_at_ms) / 1000
        over_s = since_s - moment.window_s - limits.hold_s - limits.down_s
        if over_s >= (0.0 if drained else UNDRAINED_S_MAX):
            continue
        for tier in found:
            passed = [step.count for step in ladder if step.tier == tier and step.at_s <= since_s]
            # A step down waits for the drain, because pictures are asked for while they become ready.
            count = 0 if not passed else passed[-1] if drained else max(passed)
            found[tier] = max(found[tier], count)
    return found
