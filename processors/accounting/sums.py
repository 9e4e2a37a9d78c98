"""Adds up a moment's posts, what nodes told and the dead letters into its account. Pure.

Every number follows from a record or a tally, none from a sample or a metric. What the nodes told is gone from Redis
after a week, or earlier if Redis loses it; then the value of the stored account is kept.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from storage.accounts import Account, Bytes, Cpu, Failures, Refused
from storage.keys import moment_of
from storage.records import SIDES, Moment, Post, from_ms, late_by_ms, to_ms
from storage.tallies import Tallied

from .distribution import Distribution

# The window has been closed for so long: phones that were refused in its last second have come back.
SETTLE_MS: Final = 60_000
# Reasons of rejection that an account names; the rest are counted together.
REASONS_MAX: Final = 50
REASON_CHARS_MAX: Final = 200
# A node that runs writes each moment every 15 s: one that has not for so long was killed.
SILENT_MS: Final = 30_000
OTHERS: Final = "others"


class Sums:
    """What the posts of one moment add up to; `refused` are pairs that a node refused, by digest with unix ms."""

    def __init__(self, moment: Moment, refused: Mapping[str, int]) -> None:
        self._moment = moment
        self._closes_ms = to_ms(moment.closes_at)
        self._refused = refused
        self._counts: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._upload, self._rendered, self._ready = Distribution(), Distribution(), Distribution()
        self._back: set[str] = set()
        self._gone: set[str] = set()

    def add(self, posts: Iterable[Post]) -> None:
        """Add posts, each once."""
        for post in posts:
            self._add(post)

    def gone(self, post_ids: Iterable[str]) -> None:
        """Count tombstones, each once."""
        for post_id in post_ids:
            self._counts["deleted"] += 1
            if (digest := _digest(post_id)) in self._refused:
                self._gone.add(digest)

    def _add(self, post: Post) -> None:
        counts, times = self._counts, post.times
        due_ms = late_by_ms(post.received_at, self._moment.closes_at)
        late = due_ms > 0
        counts["accepted"] += 1
        counts["late" if late else "on_time"] += 1
        counts["ready"] += post.state == "ready"
        counts["pending"] += post.state == "accepted" or post.late is None
        if post.state == "rejected":
            self._rejected[(post.reason or "")[:REASON_CHARS_MAX]] += 1
        counts["retried"] += times.retry
        digest = _digest(post.id)
        refused_ms = self._refused.get(digest)
        # Late because of us: the flag in the index does not follow from the record,
        ours = post.late is not None and (post.late, post.late_by_ms) != (late, due_ms)
        if refused_ms is not None:
            self._back.add(digest)
            if late and refused_ms <= self._closes_ms:
                # or a node refused the pair in time, and it is late although its retry brought the ticket.
                ours = ours or times.retry
                counts["late_without_ticket"] += not times.retry
        counts["late_because_of_us"] += ours
        counts["photos"] += sum(getattr(post.photos, side).bytes for side in SIDES)
        counts["renditions"] += sum(one.bytes for one in post.renditions.values())
        counts["cpu_ms"] += times.cpu_ms or 0
        for name in ("faults", "outages", "lapses"):
            counts[name] += getattr(times, name)
        counts["untimed"] += times.body_ms is None
        for values, ms in (
            (self._upload, None if times.body_ms is None else times.body_ms - times.head_ms),
            (self._rendered, times.rendered_ms),
            (self._ready, times.ready_ms),
        ):
            if ms is not None:
                values.add(ms)

    def account(
        self, tallied: Tallied | None, letters: Mapping[str, int], *, now_ms: int, stored: Account | None
    ) -> Account:
        """The account, without its budget. If Redis lost tallies since the `stored` account, that one's stand."""
        counts = self._counts
        account = Account(
            moment=self._moment,
            computed_at=from_ms(now_ms),
            settled=not counts["pending"] and now_ms >= self._closes_ms + SETTLE_MS,
            offered=counts["accepted"],
            accepted=counts["accepted"],
            on_time=counts["on_time"],
            late=counts["late"],
            late_because_of_us=counts["late_because_of_us"],
            late_without_ticket=counts["late_without_ticket"],
            ready=counts["ready"],
            pending=counts["pending"],
            retried=counts["retried"],
            untold=counts["accepted"],
            untimed=counts["untimed"],
            deleted=counts["deleted"],
            rejected=_named(self._rejected),
            upload_ms=self._upload.quantiles(),
            rendered_ms=self._rendered.quantiles(),
            ready_ms=self._ready.quantiles(),
            bytes=Bytes(photos=counts["photos"], renditions=counts["renditions"]),
            cpu_ms=Cpu(worker=counts["cpu_ms"]),
            failures=Failures(
                faults=counts["faults"],
                outages=counts["outages"],
                lapses=counts["lapses"],
                dead_letters=dict(sorted(letters.items())),
            ),
        )
        if stored is not None and stored.ready_ms.count > account.ready_ms.count:  # the index forgot since
            account = msgspec.structs.replace(account, ready_ms=stored.ready_ms)
        if tallied is not None and tallied.lives and not _is_older(tallied, stored):
            account = self._told(account, tallied, now_ms)
        elif stored is not None:
            account = _lent(account, stored, lost=tallied is not None and tallied.lives > 0)
        else:
            # Nobody told anything: then it is known that nothing was refused only where nothing was accepted either.
            account = msgspec.structs.replace(account, refused=Refused(complete=not account.accepted))
        return msgspec.structs.replace(account, known_by=_known_by(account))

    def _told(self, account: Account, tallied: Tallied, now_ms: int) -> Account:
        """The account with what the nodes told."""
        known = self._back | self._gone
        missing = [unix_ms for digest, unix_ms in tallied.refused.items() if digest not in known]
        untold = max(account.accepted - tallied.tally.tries.get("created", 0), 0)
        # What a node lost that was killed long after the moment is no part of the burst.
        killed_ms = min(now_ms - SILENT_MS, self._closes_ms + SETTLE_MS)
        killed = any(unix_ms < killed_ms for unix_ms in tallied.unended)
        refused = Refused(
            pairs=len(tallied.refused),
            came_back=len(self._back),
            deleted=len(self._gone - self._back),
            not_back=len(missing),
            not_back_in_time=sum(unix_ms <= self._closes_ms for unix_ms in missing),
            complete=not (tallied.cut or tallied.lost or killed or _lacks(untold, tallied.tally.tries)),
        )
        return msgspec.structs.replace(
            account,
            offered=account.accepted + len(missing),
            refused=refused,
            tries=dict(sorted(tallied.tally.tries.items())),
            tickets=tallied.tally.retries,
            untold=untold,
            cpu_ms=Cpu(node=tallied.tally.cpu_ms, worker=account.cpu_ms.worker),
        )


def _digest(post_id: str) -> str:
    """The part of a post id by which nodes name a pair that they refused."""
    return post_id[: -len(moment_of(post_id)) - 1]


def _is_older(tallied: Tallied, stored: Account | None) -> bool:
    """Whether the stored account has tries that Redis has not: it lost some, and has perhaps got others since."""
    return stored is not None and sum(tallied.tally.tries.values()) < sum(stored.tries.values())


def _lacks(untold: int, tries: Mapping[str, int]) -> bool:
    """Whether more posts are untold than tries were answered otherwise: then tallies were lost, refusals too.

    A post is untold also if its client had left, or the store's answer was lost, and nobody came again.
    """
    return untold > sum(tries.values()) - tries.get("created", 0)


def _lent(account: Account, stored: Account, *, lost: bool) -> Account:
    """The account with what the nodes told when the stored one was written; `lost`: they have told more since."""
    untold = max(account.accepted - stored.tries.get("created", 0), 0)
    complete = stored.refused.complete and not lost and not _lacks(untold, stored.tries)
    return msgspec.structs.replace(
        account,
        offered=account.accepted + stored.refused.not_back,
        refused=msgspec.structs.replace(stored.refused, complete=complete),
        tries=stored.tries,
        tickets=stored.tickets,
        untold=untold,
        late_because_of_us=max(account.late_because_of_us, stored.late_because_of_us),
        late_without_ticket=max(account.late_without_ticket, stored.late_without_ticket),
        cpu_ms=Cpu(node=stored.cpu_ms.node, worker=account.cpu_ms.worker),
    )


def _named(reasons: Counter[str]) -> dict[str, int]:
    """The most frequent reasons by name, ordered by it."""
    named = dict(sorted(reasons.most_common(REASONS_MAX)))
    rest = reasons.total() - sum(named.values())
    return {**named, OTHERS: rest} if rest else named


def _known_by(account: Account) -> list[str]:
    refused, told = account.refused, account.accepted - account.untold
    return [
        f"the flag of each of {account.accepted} posts was compared with received_at - closes_at of its own record",
        f"{account.retried} posts brought a ticket that a balancer had signed, and count from their first try",
        f"each of {refused.pairs} pairs that a node refused for the service's sake was looked up among the posts"
        + (
            ""
            if refused.complete
            else "; the number is a lower bound: a node was killed, Redis lost data, or there were more than are kept"
        ),
        f"nodes counted {told} of {account.accepted} accepted posts"
        + (
            ""
            if not account.untold
            else "; the others were committed by nodes that were killed, or Redis lost the count"
        ),
        "what only a balancer refused (no node reached) is in no record: see snapsurge_lb_requests_total",
    ]
