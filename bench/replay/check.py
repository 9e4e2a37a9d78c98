"""The check of a replay: whether an acknowledged upload was lost, halved, doubled or wrongly late.

Pure: it compares what the phones saw with what the service shows; the caller fetches both.

- lost: acknowledged, but the post does not exist, or its digests are not those of the sent photos.
- half: a post with only one photo, acknowledged or not: a pair must be stored whole or not at all.
- doubled: a user has more than one post in the moment, or a post with another id than the acknowledged one.
- wrongly late: the flag of a settled post does not follow from `received_at` and the moment's end, or `received_at`
  lies in none of the tries up to the first that got a ticket.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from ..outcome import Outcome
from ..service import Post, milliseconds

Kind = Literal["lost", "half", "doubled", "wrongly_late"]


class Sent(msgspec.Struct, frozen=True):
    """SHA-256, in hex, of the two photos that a user sent."""

    front: str
    back: str


class Finding(msgspec.Struct, frozen=True):
    """One broken promise: its kind, its user and an explanation."""

    kind: Kind
    user: str
    why: str


class Terms(msgspec.Struct, frozen=True):
    """Unix ms at which the window closes, and how many ms two clocks may differ."""

    closes_at_ms: int
    margin_ms: float


def judge(
    sent: Mapping[str, Sent], outcomes: Iterable[Outcome], posts: Sequence[Post], terms: Terms
) -> tuple[Finding, ...]:
    """Every broken promise, at most one of a kind for each user; posts of users outside `outcomes` are ignored."""
    by_user: dict[str, dict[str, Post]] = defaultdict(dict)
    # By id, because a page of the listing may show a post twice while it grows.
    for post in posts:
        by_user[post.user_id][post.id] = post
    findings: list[Finding] = []
    for outcome in outcomes:
        found = list(by_user[outcome.user].values())
        kinds: tuple[tuple[Kind, str | None], ...] = (
            ("lost", _lost(outcome, found, sent[outcome.user])),
            ("half", _half(found)),
            ("doubled", _doubled(outcome, found)),
            ("wrongly_late", next(filter(None, (_wrongly_late(outcome, post, terms) for post in found)), None)),
        )
        findings += [Finding(kind, outcome.user, why) for kind, why in kinds if why]
    return tuple(findings)


def _lost(outcome: Outcome, found: Sequence[Post], sent: Sent) -> str | None:
    if not outcome.acknowledged:
        return None
    if not found:
        return f"acknowledged as {outcome.post_id}, but there is no such post"
    for post in found:
        front, back = post.photos.front, post.photos.back
        if (front and front.sha256 != sent.front) or (back and back.sha256 != sent.back):
            return f"post {post.id} has other photos than were sent"
    return None


def _half(found: Sequence[Post]) -> str | None:
    for post in found:
        if not (post.photos.front and post.photos.back):
            return f"post {post.id} has not both photos"
    return None


def _doubled(outcome: Outcome, found: Sequence[Post]) -> str | None:
    ids = {post.id for post in found}
    if len(ids) > 1:
        return f"posts {', '.join(sorted(ids))}"
    if ids and outcome.acknowledged and outcome.post_id not in ids:
        return f"acknowledged as {outcome.post_id}, listed as {ids.pop()}"
    return None


def _wrongly_late(outcome: Outcome, post: Post, terms: Terms) -> str | None:
    received_ms = milliseconds(post.received_at)
    if not any(
        attempt.started * 1000 - terms.margin_ms <= received_ms <= attempt.finished * 1000 + terms.margin_ms
        # Only these could set the time: a later try sends the ticket of an earlier one.
        for attempt in outcome.timely
    ):
        return f"post {post.id}: received_at {post.received_at.isoformat()} lies in none of the tries that may set it"
    if post.late is None:
        return None  # not flagged yet: pending, not wrong
    due_ms = received_ms - terms.closes_at_ms
    if post.late_by_ms != due_ms:
        return f"post {post.id}: late_by_ms is {post.late_by_ms}, received_at makes it {due_ms}"
    if post.late != (due_ms > 0):
        return f"post {post.id}: late is {post.late} at {due_ms} ms after the end"
    return None
