"""The check of all uploads and deletions of one moment, in the terms of Jepsen's total-queue; pure.

- lost: an upload ended ok, no deletion can have followed it, and the store, the API or one node has no post of this
  user, or a post with other bytes.
- revived: a deletion ended ok after every upload that can have made the post, and the pair, a record or a picture
  still exists.
- half: an intake object without two whole photos that match its receipt, or a record that lacks a photo.
- doubled: two intake objects or two listed posts of one user, or a listed post that the store does not have.
- phantom: a stored pair that no client sent, or for which every try was answered with `stored: false`.
- wrongly late: the flag does not follow from `received_at`, or `received_at` lies in no try that can have set it. A
  try that sent a ticket counts from exactly the try for which the ticket was issued. A resumable upload counts from its
  first request: until the 104 that names it, however often and late it was resumed.
- forgotten: a resumable upload told an offset below one that it had told before, or more than the client had sent.
- unsettled: an accepted post that after the drain is neither ready nor rejected, or not flagged, or whose renditions
  differ from the record.
- miscounted: the moment's counts are not those of its posts.
- refused: a valid request was answered as a client error.

Two operations of one user are ordered only when one began after the other had ended. An operation of unknown outcome
may take effect at any time, or never. Recovered, which is allowed and counted: the client does not know the outcome of
an upload, and the pair is stored.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeVar, get_args

import msgspec

from tests.faults.sightings import Seen, Shown, Stored
from tests.faults.witness import Operation, Try, What

Kind = Literal[
    "lost", "half", "doubled", "phantom", "revived", "wrongly_late", "unsettled", "miscounted", "refused", "forgotten"
]

KINDS: tuple[Kind, ...] = get_args(Kind)


class _Owned(Protocol):
    @property
    def user(self) -> str: ...


T = TypeVar("T", bound=_Owned)

# Statuses that a valid request may get: timeouts, rate limits, a second pair of the user, a repeated deletion.
NOT_REFUSALS: Mapping[What, frozenset[int]] = {"post": frozenset({408, 409, 429}), "delete": frozenset({404, 429})}
SUPERSEDED = 409  # of a deletion: the pair was posted, or posted again, after it was sent


class Finding(msgspec.Struct, frozen=True):
    """One broken promise and its explanation."""

    kind: Kind
    user: str
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the check of one round."""

    ok: int = 0
    fail: int = 0
    unknown: int = 0
    recovered: int = 0
    deleted: int = 0
    findings: tuple[Finding, ...] = ()

    def count(self, kind: Kind) -> int:
        """The number of findings of a kind."""
        return sum(finding.kind == kind for finding in self.findings)


def judge(
    operations: Sequence[Operation],
    stored: Sequence[Stored],
    shown: Sequence[Shown],
    counts: Mapping[str, int],
    seen: Sequence[Seen] = (),
    *,
    closes_at: int,
    margin: int,
) -> Verdict:
    """The verdict on one moment that closes at this Unix ms; `margin` is how far two clocks may differ, in ms."""
    asked, kept, given, looked = _by_user(operations), _by_user(stored), _by_user(shown), _by_user(seen)
    findings: list[Finding] = []
    recovered = 0
    for user in sorted({*asked, *kept, *given}):
        all_ours, there, listed = asked[user], kept[user], given[user]
        ours, gone = _parted(all_ours)
        reasons: list[tuple[Kind, str]] = [
            *(("lost", why) for why in _lost(ours, gone, there, listed)),
            *(("half", why) for why in _half(there, listed)),
            *(("doubled", why) for why in _doubled(gone, there, listed)),
            *(("phantom", why) for why in _phantom(ours, there)),
            *(("revived", why) for why in _revived(ours, gone, there, listed)),
            *_seen_otherwise(there, looked[user]),
            *(("wrongly_late", why) for why in _wrongly_late(ours, gone, there, listed, closes_at, margin)),
            *(("unsettled", why) for why in _unsettled(there, listed)),
            *(("refused", why) for why in _refused(all_ours)),
            *(("forgotten", why) for why in _forgotten(ours)),
        ]
        findings += [Finding(kind, user, why) for kind, why in reasons]
        recovered += sum(one.ending == "unknown" and any(_same(one, blob) for blob in there) for one in ours)
    findings += [Finding("miscounted", "", why) for why in _miscounted(shown, counts)]
    uploads, deletions = _parted(operations)
    endings = [one.ending for one in uploads]
    return Verdict(
        deleted=sum(one.ending == "ok" for one in deletions),
        ok=endings.count("ok"),
        fail=endings.count("fail"),
        unknown=endings.count("unknown"),
        recovered=recovered,
        findings=tuple(findings),
    )


def _by_user(values: Iterable[T]) -> defaultdict[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for value in values:
        found[value.user].append(value)
    return found


def _same(one: Operation, other: Stored | Shown) -> bool:
    return (one.front, one.back) == (other.front, other.back)


def _parted(operations: Iterable[Operation]) -> tuple[list[Operation], list[Operation]]:
    """The uploads, and the deletions that were not refused."""
    every = list(operations)
    gone = [one for one in every if one.what == "delete" and one.ending != "fail"]
    return [one for one in every if one.what == "post"], gone


def _ended_by(one: Operation, gone: Sequence[Operation]) -> bool:
    """Whether a deletion that ended ok began after this upload had ended: then its pair must be gone."""
    return any(each.ending == "ok" and one.precedes(each) for each in gone)


def _lost(
    ours: Sequence[Operation], gone: Sequence[Operation], there: Sequence[Stored], listed: Sequence[Shown]
) -> Iterator[str]:
    for one in ours:
        deletable = any(not each.precedes(one) for each in gone)
        if one.ending != "ok" or (deletable and not any(_same(one, blob) for blob in there)):
            continue
        if not any(_same(one, blob) for blob in there):
            yield f"{one.op} is acknowledged, the store has {'other bytes' if there else 'nothing'}"
        elif not any(_same(one, post) for post in listed):
            yield f"{one.op} is acknowledged and stored, the API shows {'other digests' if listed else 'no post'}"


def _half(there: Sequence[Stored], listed: Sequence[Shown]) -> Iterator[str]:
    yield from (f"{blob.key}: {blob.broken}" for blob in there if blob.broken)
    yield from (f"post {post.id} lacks a photo" for post in listed if not (post.front and post.back))


def _doubled(gone: Sequence[Operation], there: Sequence[Stored], listed: Sequence[Shown]) -> Iterator[str]:
    if len(there) > 1:
        yield f"objects {', '.join(blob.key for blob in there)}"
    if len(listed) > 1:
        yield f"posts {', '.join(post.id for post in listed)}"
    if listed and not there and not gone:
        yield f"post {listed[0].id} is listed and not stored"


def _phantom(ours: Sequence[Operation], there: Sequence[Stored]) -> Iterator[str]:
    for blob in there:
        senders = [one for one in ours if _same(one, blob)]
        if not senders:
            yield f"{blob.key}: nobody sent these photos"
        elif not any(_can_have_stored(attempt) for one in senders for attempt in one.tries):
            yield f"{blob.key}: every try was told that nothing is stored"


def _revived(
    ours: Sequence[Operation], gone: Sequence[Operation], there: Sequence[Stored], listed: Sequence[Shown]
) -> Iterator[str]:
    for blob in there:
        senders = [one for one in ours if _same(one, blob)]
        if senders and all(_ended_by(one, gone) for one in senders):
            yield f"{blob.key}: {senders[-1].op} was deleted, and is stored"
    for post in listed:
        if gone and not any(_same_photos(post, blob) for blob in there):
            yield f"post {post.id} is listed, and {'the store has other photos' if there else 'not stored'}"


def _same_photos(post: Shown | Seen, blob: Stored) -> bool:
    return (post.front, post.back) == (blob.front, blob.back)


def _seen_otherwise(there: Sequence[Stored], seen: Sequence[Seen]) -> Iterator[tuple[Kind, str]]:
    """Findings where a node or a rendition shows something else than the store has."""
    for one in seen:
        if not there:
            if one.status != 404 or one.picture != 404:
                yield "revived", f"{one.where} answers {one.status}, pictures {one.picture}, of what is not stored"
        elif one.status == 404:
            yield "lost", f"{one.where} does not know what is stored"
        elif one.status == 200 and not any(_same_photos(one, blob) for blob in there):
            yield "revived", f"{one.where} shows other photos than the store has"
        elif (one.status, one.picture) != (200, 200):
            yield "unsettled", f"{one.where} answers {one.status}, pictures {one.picture}, of what is stored"


def _can_have_stored(attempt: Try) -> bool:
    return attempt.kept is not False


def _window(attempt: Try, margin: int) -> tuple[int, int | None]:
    """When a balancer can have read the head: a stopped balancer reads it after its client has given up."""
    ended = attempt.named or (attempt.ended if attempt.status else None)
    return attempt.began - margin, None if ended is None else ended + margin


def _wrongly_late(
    ours: Sequence[Operation],
    gone: Sequence[Operation],
    there: Sequence[Stored],
    listed: Sequence[Shown],
    closes_at: int,
    margin: int,
) -> Iterator[str]:
    for blob in there:
        windows = [
            _window(one.tries[attempt.first], margin)
            for one in ours
            if _same(one, blob) and not _ended_by(one, gone)
            for attempt in one.tries
            if _can_have_stored(attempt)
        ]
        if windows and not any(
            began <= blob.received_at and (ended is None or blob.received_at <= ended) for began, ended in windows
        ):
            yield f"{blob.key}: received_at {blob.received_at} lies in none of {windows}"
        for post in listed:
            due = blob.received_at - closes_at
            if post.received_at != blob.received_at:
                yield f"post {post.id}: received_at is {post.received_at}, the receipt says {blob.received_at}"
            if post.late is not None and (post.late, post.late_by) != (due > 0, due):
                yield f"post {post.id}: late {post.late} by {post.late_by} ms, received_at makes it {due}"


def _unsettled(there: Sequence[Stored], listed: Sequence[Shown]) -> Iterator[str]:
    settled = [post for post in listed if post.settled]
    if there and not settled:
        yield f"{there[0].key}: {', '.join(f'{post.state}, late {post.late}' for post in listed) or 'not listed'}"
    yield from (f"post {post.id}: {post.wrong}" for post in listed if post.wrong)


def _miscounted(shown: Sequence[Shown], counts: Mapping[str, int]) -> Iterator[str]:
    due = {
        "accepted": len(shown),
        "on_time": sum(post.late is False for post in shown),
        "late": sum(post.late is True for post in shown),
        "ready": sum(post.state == "ready" for post in shown),
        "rejected": sum(post.state == "rejected" for post in shown),
        "pending": sum(post.state == "accepted" for post in shown),
    }
    if due != counts:
        yield f"the counts are {dict(counts)}, the posts {due}"


def _refused(ours: Sequence[Operation]) -> Iterator[str]:
    for one in ours:
        statuses = {
            attempt.status
            for attempt in one.tries
            if not (one.what == "delete" and attempt.status == SUPERSEDED and _posted_after(attempt, ours))
        }
        yield from (
            f"{one.op} was answered {status}"
            for status in sorted(statuses)
            if 400 <= status < 500 and status not in NOT_REFUSALS[one.what]
        )


def _posted_after(deletion: Try, ours: Sequence[Operation]) -> bool:
    """Whether a try of an upload may have arrived after this deletion, which it then supersedes."""
    posts = [attempt for one in ours if one.what == "post" for attempt in one.tries]
    return any(attempt.ended is None or attempt.ended >= deletion.began for attempt in posts)


def _forgotten(ours: Sequence[Operation]) -> Iterator[str]:
    for one in ours:
        for number, attempt in enumerate(one.tries):
            most = 0
            for offset, sent in attempt.told:
                if not most <= offset <= sent:
                    yield f"{one.op}, try {number}: told offset {offset} after {most}, of {sent} bytes sent"
                most = max(most, offset)
