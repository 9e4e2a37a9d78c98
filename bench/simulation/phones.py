"""Phones, and what is common to all events: a try that ended badly is made again, as `bench/client.py` does it.

A phone obeys Retry-After with its jitter, backs off where it got no answer, goes to the next balancer when a connection
broke, and gives up after its last try.
"""

import numpy as np

from . import rules
from .placing import note_refusal, take
from .rules import compiled, kept, wide
from .world import (
    ATTEMPTS,
    BACKOFF_S,
    BACKOFF_S_MAX,
    GIVEN_UP,
    IN_FLIGHT,
    LOST,
    NOBODY,
    REFUSED,
    RETRY_S_MAX,
    SETTLED,
    SHED,
    SPREAD,
    STAY,
    TICK,
    TICK_S,
    TRIES,
    VICTIMS,
    WAITING,
    World,
)


@compiled
def drawn(w: World, of: int) -> float:
    """A random value of a distribution, between its quantiles."""
    at = np.random.random() * (SPREAD - 1)  # noqa: NPY002 - the generator of compiled code
    low = int(at)
    quantiles = w.spreads[of]
    return float(quantiles[low] + (quantiles[low + 1] - quantiles[low]) * (at - low))


@compiled
def tick_of(w: World, at: float) -> int:
    """The tick in which an event at this time is played: none of the past."""
    return int(min(max(int(at / w.numbers[TICK_S]), w.counts[TICK]), len(w.head) - 1))


@kept
def schedule(w: World, i: int, at: float, kind: int) -> None:
    """The user's next event."""
    users, head = w.users, w.head
    users[i].at, users[i].kind = at, kind
    tick = tick_of(w, at)
    users[i].link = head[tick]
    head[tick] = i


@compiled
def worked(w: World, tier: int, machine: int, cpu_s: float, began: float) -> float:
    """When this much CPU of a process is spent that begins then; it counts for tier and machine."""
    w.flows[tier] += cpu_s
    w.machines[machine].work += cpu_s
    return float(began + cpu_s / w.machines[machine].speed)


@compiled
def served(w: World, tier: int, i: int, cpu_s: float) -> float:
    """Count CPU that a server spends for the user; how much slower its machine is than an idle one."""
    w.flows[tier] += cpu_s
    if not w.servers[tier, 0]:
        return 1.0
    machine = w.machines[w.servers[tier, 1 + w.users[i].slot % w.servers[tier, 0]]]
    machine.work += cpu_s
    return float(1.0 / machine.speed)


@compiled
def back_off(w: World, i: int, now: float, wait_s: float) -> None:
    """The phone has its answer now, or as soon as its process has come to it, and then waits for so long."""
    w.users[i].left = wait_s
    if tick_of(w, now) > w.counts[TICK]:
        schedule(w, i, now, REFUSED)
    else:
        refused(w, i, now)


@compiled
def refused(w: World, i: int, now: float) -> None:
    """The try has ended: the phone tries again later, or gives up; it has no more than one try in flight."""
    users, counts = w.users, w.counts
    counts[IN_FLIGHT] -= 1
    w.flows[STAY] += now
    if users[i].tries >= w.numbers[ATTEMPTS]:
        counts[GIVEN_UP] += 1
        users[i].kind = SETTLED
        return
    counts[WAITING] += 1
    schedule(w, i, now + users[i].left, TRIES)


@compiled
def asked_s(w: World, seconds: float) -> float:
    """How long a phone waits that is asked to wait so many seconds (`client.wait_s`)."""
    return float(min(max(seconds, w.numbers[BACKOFF_S]), w.numbers[RETRY_S_MAX]) * np.random.uniform(1.0, 1.1))  # noqa: NPY002


@compiled
def overloaded(w: World, i: int, n: int, now: float) -> None:
    """Answer 503: a turn in the node's virtual queue, and a ticket that names the place of this node."""
    users, counts = w.users, w.counts
    wait = rules.retry_after_s(w.nodes[n], now, w.nodes[n].rate, np.random.random())  # noqa: NPY002
    counts[SHED] += 1
    w.shed_s[min(wide(users[i].arrives), len(w.shed_s) - 1)] += 1
    note_refusal(w, i, n)
    back_off(w, i, now, asked_s(w, wait))


@compiled
def balancer_of(w: World, i: int) -> int:
    """The balancer that the phone tries: in turn, the next one after a broken connection."""
    return (i + wide(w.users[i].moved)) % len(w.lbs)


@kept
def withdraw(w: World, i: int) -> None:
    """Remove the user's next event from its tick."""
    users, head = w.users, w.head
    tick = tick_of(w, users[i].at)
    at, before = wide(head[tick]), NOBODY
    while at != NOBODY and at != i:  # noqa: PLR1714 - compiled
        before, at = at, wide(users[at].link)
    if at == NOBODY:  # an event of this very pass: its kind says that it is void
        users[i].kind = SETTLED
    elif before == NOBODY:
        head[tick] = users[i].link
    else:
        users[before].link = users[i].link


@compiled
def displace(w: World, now: float) -> None:
    """Answer 503 to the uploads that a decision has shed."""
    for number in range(w.counts[VICTIMS]):
        victim = wide(w.victims[number])
        n = wide(w.users[victim].node)
        take(w, balancer_of(w, victim), n, w.users[victim].bytes, -1)
        withdraw(w, victim)
        overloaded(w, victim, n, now)
    w.counts[VICTIMS] = 0


@compiled
def unreached(w: World, i: int, now: float) -> None:
    """The connection broke or nobody listened: back off without advice, and go to the next balancer."""
    users = w.users
    users[i].moved += 1
    most = min(w.numbers[BACKOFF_S] * 2.0 ** users[i].tries, max(w.numbers[BACKOFF_S_MAX], w.numbers[BACKOFF_S]))
    back_off(w, i, now, np.random.uniform(w.numbers[BACKOFF_S], most))  # noqa: NPY002


@kept
def lose(w: World, i: int, n: int, now: float) -> None:
    """The node of this upload died: the balancer answers 502 with a ticket and no advice."""
    take(w, balancer_of(w, i), n, w.users[i].bytes, -1)
    note_refusal(w, i, n)
    w.counts[LOST] += 1
    back_off(w, i, now, asked_s(w, float(rules.when_away_s(np.random.random()))))  # noqa: NPY002


@kept
def seed(number: int) -> None:
    """Begin the random numbers of compiled code anew."""
    np.random.seed(number)  # noqa: NPY002 - the generator of compiled code
