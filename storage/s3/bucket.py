"""What the settings of a bucket do to posts: versioning, object lock, lifecycle rules. Pure; XML documents come in.

Sources: "GetBucketVersioning", "PutBucketVersioning", "GetObjectLockConfiguration" and
"GetBucketLifecycleConfiguration" in the Amazon S3 API Reference.

A store of several members must keep versions. A MinIO undoes a PUT that it cannot complete, also one whose client has
given up, by deleting what it wrote on each drive, and tells the drives of a member that is cut off only when it is
back, long after the lock of the key. Without versions, old and new object have the same version, "null": so after an
interrupted overwrite both may be gone, and an object that somebody else has stored meanwhile. With versions it deletes
its own. (`renameData` in MinIO's cmd/erasure-object.go; `tests/net/test_overwrites.py` shows both.)
"""

from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree import ElementTree as ET  # expat bounds the expansion of entities, and the store is ours

from .. import keys
from ..blobs import StoreUnsuitable

SETTINGS: Final = ("versioning", "object-lock", "lifecycle")
# A moment takes posts for a day, and tombstones must stay for 49 hours; the rest is for a backlog of renders.
KEPT_DAYS_MIN: Final = 7
_MAY_LOSE: Final = (
    "a change of a post that is interrupted between the members of the store may lose the post; enable versioning"
)
# By what is told of its versioning: that it was never enabled, that it is suspended, or nothing.
_KEEPS_NONE: Final = {
    "": f"it keeps no versions: {_MAY_LOSE}",
    "Suspended": f"its versioning is suspended: {_MAY_LOSE}",
    None: f"it is not known to keep versions: {_MAY_LOSE}",
}
KEEPS_NONE: Final = frozenset(_KEEPS_NONE.values())
KEEP_VERSIONS: Final = (
    b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status>'
    b"</VersioningConfiguration>"
)
_SPACE: Final = "{*}"
_ROOTS: Final = (*(f"{spread}/" for spread in keys.SPREADS), keys.MOMENTS_PREFIX)


def warnings(documents: Mapping[str, bytes], *, several: bool = False) -> Iterator[str]:
    """What a person should know, from the settings that could be read, by name; StoreUnsuitable if posts get lost.

    `several`: the store has several members, so its bucket must keep versions.
    """
    found = {name: _root(document) for name, document in documents.items()}
    lock, lifecycle = found.get("object-lock"), found.get("lifecycle")
    for rule in lifecycle.iterfind(f"{_SPACE}Rule") if lifecycle is not None else ():
        yield from _of_rule(rule)
    keeps = keeps_versions(documents.get("versioning", b""))
    if lock is not None and (days := _days(lock)):
        yield (
            f"its object lock keeps every version for {days}: photos of deleted posts are not shown, but stay in the "
            "bucket that long; use a bucket without a default retention"
        )
    elif keeps and not several:
        yield (
            "it keeps versions; replaced and deleted ones are removed at once, for which the keys need the permissions "
            "DeleteObjectVersion and ListBucketVersions"
        )
    if several and not keeps:
        yield _KEEPS_NONE.get(_status(documents.get("versioning", b"")), _KEEPS_NONE[None])


def keeps_versions(document: bytes) -> bool:
    """Whether this is the setting of a bucket that keeps versions."""
    return _status(document) == "Enabled"


def _status(document: bytes) -> str | None:
    """The status of versioning, "" if it was never set; None if the document does not tell."""
    versioning = _root(document)
    if versioning is None or versioning.tag.rpartition("}")[2] != "VersioningConfiguration":
        return None
    return versioning.findtext(f"{_SPACE}Status") or ""


def _of_rule(rule: ET.Element) -> Iterator[str]:
    prefix = next((one.text or "" for one in rule.iter() if one.tag.rpartition("}")[2] == "Prefix"), "")
    applies = any(root.startswith(prefix) or prefix.startswith(root) for root in _ROOTS)
    expiration = rule.find(f"{_SPACE}Expiration")
    if rule.findtext(f"{_SPACE}Status") != "Enabled" or expiration is None or not applies:
        return
    name = f"its lifecycle rule {(rule.findtext(f'{_SPACE}ID') or 'without a name')[:100]!r}"
    if expiration.findtext(f"{_SPACE}Date"):
        raise StoreUnsuitable(f"{name} deletes all posts from a date on: remove the rule")
    days = expiration.findtext(f"{_SPACE}Days") or ""
    if days.isdecimal() and int(days) < KEPT_DAYS_MIN:
        raise StoreUnsuitable(
            f"{name} deletes objects after {days} days, posts among them that may not be rendered yet: "
            f"let it wait for {KEPT_DAYS_MIN} days or more"
        )
    if days:
        yield f"{name} deletes posts after {days} days"


def _days(lock: ET.Element) -> str:
    """The default retention of an object lock as text; empty without one."""
    for unit in ("Days", "Years"):
        for one in lock.iter():
            if one.tag.rpartition("}")[2] == unit and one.text:
                return f"{one.text} {unit.lower()}"
    return ""


def _root(document: bytes) -> ET.Element | None:
    try:
        return ET.fromstring(document)  # noqa: S314 - see the import
    except ET.ParseError:
        return None
