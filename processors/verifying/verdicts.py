"""What a verification finds: compares the objects of a post with each other, and says what is wrong. Pure.

It reads no store and no index; `verifier.py` does, and repairs.
"""

import hashlib
from typing import Final, Literal

import msgspec

from storage import intake, keys, media, tombstones, zips
from storage.index import Counts
from storage.records import EXTENSIONS, SIDES, Moment, Photo, Post, Receipt

# damaged: an object is there and is not what was written; lost: something is missing that must be there; extra: there
# is something that must not be; unfinished: renditions are missing and no job will make them; index: Redis says
# something else than the store.
Kind = Literal["damaged", "lost", "extra", "unfinished", "index"]
_UNUSABLE: Final[set[Kind]] = {"damaged", "lost", "unfinished"}
# A store that is wholly wrong must not fill the memory; all findings are counted.
FINDINGS_MAX = 10_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `object` is its key in the store or in Redis; `repair` is what was done about it."""

    kind: Kind
    object: str
    detail: str
    repaired: bool = False
    repair: str = ""


class Verified(msgspec.Struct, kw_only=True):
    """The result for one moment. `bare` posts have their receipt alone, because the photos were kept long enough.

    `pending` posts have a job that makes their renditions. `unreadable` are those of `posts` whose pair cannot be used:
    Redis may count them or not. `deleted` are tombstones: of posts, and of users without one whose data was deleted.
    `lost_pairs` are not in `posts`. `index` are Redis' counts, null where it has no complete
    ones; `index_compared` is false if Redis did not answer.
    """

    ok: bool = True
    moment: str
    posts: int = 0
    deleted: int = 0
    bare: int = 0
    pending: int = 0
    unreadable: int = 0
    lost_pairs: int = 0
    bytes_read: int = 0
    found: dict[Kind, int] = {}
    repaired: int = 0
    findings: list[Finding] = []
    omitted: int = 0
    store: Counts = Counts()
    index: Counts | None = None
    index_compared: bool = True

    def say(self, kind: Kind, key: str, detail: str, repair: str = "") -> None:
        """Count a finding, and keep it while there is room; `repair` is what was done about it, if anything."""
        finding = Finding(kind=kind, object=key, detail=detail, repaired=bool(repair), repair=repair)
        self.found[finding.kind] = self.found.get(finding.kind, 0) + 1
        self.repaired += finding.repaired
        self.ok = self.ok and finding.repaired
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)
        else:
            self.omitted += 1

    def agrees(self, index: Counts) -> bool:
        """Whether Redis counts what the store has; posts without usable objects are findings by themselves.

        A recount leaves out lost pairs. A pending post may have its late flag. It may be finished in Redis, if its
        renditions were damaged and removed.
        """
        if self.found.keys() & _UNUSABLE:
            return self.store.accepted <= index.accepted <= self.accepted_max
        if index.accepted != self.store.accepted:
            return False
        if self.store.pending:
            ahead = index.ready + index.rejected - self.store.ready - self.store.rejected
            return 0 <= ahead <= self.store.pending
        return index == self.store

    @property
    def accepted_max(self) -> int:
        """The largest number of posts that Redis may have counted."""
        return self.store.accepted + self.unreadable + self.lost_pairs

    def count(self, receipt: Receipt, post: Post | None) -> None:
        """Add a post to the counts of the store; `post` is its record, None while it has no renditions."""
        finished = post is not None
        self.store += Counts(
            accepted=1,
            on_time=int(finished and receipt.late_by_ms <= 0),
            late=int(finished and receipt.late_by_ms > 0),
            ready=int(post is not None and post.state == "ready"),
            rejected=int(post is not None and post.state == "rejected"),
            pending=int(not finished),
        )


class Damage(Exception):
    """An object is not what was written; the text says how."""


class Stale(Exception):
    """The renditions are of another attempt of this user than the pair."""


def receipt_of(moment_id: str, post_id: str, archive: bytes) -> Receipt:
    """The receipt of an intake object, which may be bare, after a comparison of everything in it; Damage."""
    try:
        bare = intake.is_bare(archive)
        receipt = intake.receipt_in(archive)
        pair = None if bare else intake.unpack(archive)
        entries = [] if bare else zips.names(archive)
    except zips.Damaged as error:
        raise Damage(str(error)) from None
    if receipt.id != post_id or receipt.moment_id != moment_id or keys.post_id(moment_id, receipt.user_id) != post_id:
        raise Damage(f"its receipt is of post {receipt.id}, whose user has another post id here")
    for side in SIDES if pair is not None else ():
        photo = getattr(receipt.photos, side)
        if f"{side}.{EXTENSIONS[photo.format]}" not in entries:
            raise Damage(f"the {side} photo is not a {photo.format}")
        _compare(f"the {side} photo", getattr(pair, side), photo)
    return receipt


def record_of(receipt: Receipt, archive: bytes) -> Post:
    """The record of a media object, after a comparison of every rendition and of the receipt; Damage, Stale."""
    try:
        record = media.record_in(archive)
        if record.attempt != receipt.attempt:
            raise Stale
        media.checked(archive)
    except zips.Damaged as error:
        raise Damage(str(error)) from None
    if record.id != receipt.id or record.user_id != receipt.user_id or record.photos != receipt.photos:
        raise Damage("its record is of another pair than the receipt")
    if record.received_at != receipt.received_at or record.late_by_ms not in {None, receipt.late_by_ms}:
        raise Damage("its record has another time of receipt than the receipt")
    return record


def receipt_from(record: Post, moment: Moment) -> Receipt:
    """A receipt as it can be told from the record of a post."""
    return Receipt(
        id=record.id,
        moment_id=moment.id,
        user_id=record.user_id,
        received_at=record.received_at,
        closes_at=moment.closes_at,
        request_id="",
        attempt=record.attempt,
        photos=record.photos,
    )


def is_tombstone(archive: bytes) -> bool:
    """Whether the object is a tombstone; one that cannot be read is not."""
    try:
        return tombstones.tombstone_in(archive) is not None
    except zips.Damaged:
        return False


def differences(entry: Post, stored: Post) -> list[str]:
    """What an index entry says otherwise than the record in the store; a flag that is missing there is no difference.

    While its jobs run, an entry is behind the store for an instant.
    """
    found = [
        f"{name} {getattr(entry, name)} instead of {getattr(stored, name)}"
        for name in ("attempt", "user_id", "received_at", "state", "photos", "renditions")
        if getattr(entry, name) != getattr(stored, name)
    ]
    flags = entry.late_by_ms, stored.late_by_ms
    return found + (
        [f"late_by_ms {flags[0]} instead of {flags[1]}"] if None not in flags and flags[0] != flags[1] else []
    )


def _compare(what: str, data: bytes, photo: Photo) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != photo.bytes or digest != photo.sha256:
        raise Damage(f"{what} has {len(data)} bytes and digest {digest}, the receipt {photo.bytes} and {photo.sha256}")
