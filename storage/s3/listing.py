"""Listings of a bucket: the query of ListObjectsV2, and its answer, an XML document with at most 1,000 keys.

Pure. A page of a moment asks for up to 256 listings, one for each spread, and the sweeper for dozens a second, most of
them short: with aioboto3 each costs 3 ms of CPU, here 0.3. Source: "ListObjectsV2", Amazon S3 API Reference.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET  # expat bounds the expansion of entities, and the store is ours

import msgspec

from ..blobs import Entry

PAGE_MAX: Final = 1000  # the most that S3 sends
# Folders that lie far apart are listed by one request while all keys between them fit one such page, as they do in a
# small or idle store. In a large store they are listed by groups, and the page is tried again after `LARGE_S`.
MERGED_MAX: Final = 200
LARGE_S: Final = 60.0
_SPACE: Final = "{*}"  # S3 and MinIO name its namespace, others do not


class Page(msgspec.Struct, frozen=True):
    """Entries in the order of their keys, and the token of the next page, empty after the last one."""

    entries: list[Entry]
    token: str


class BadListing(Exception):
    """A document that is no listing; the text says why."""


def query(prefix: str, after: str = "", token: str = "", *, most: int = PAGE_MAX) -> dict[str, str]:
    """The query of one page of at most so many keys, greater than `after`; `token` names a further page."""
    pairs = {
        "continuation-token": token,
        "encoding-type": "url",  # without it, a key with a control character makes a document that no parser reads
        "list-type": "2",
        "max-keys": str(most),
        "prefix": prefix,
        "start-after": "" if token else after,
    }
    return {name: value for name, value in pairs.items() if value}


def parsed(document: bytes) -> Page:
    """Parse a page; BadListing."""
    root = _listing(document)
    try:
        entries = [
            Entry(unquote_plus(_text(item, "Key"), errors="strict"), int(_text(item, "Size")))
            for item in root.iterfind(f"{_SPACE}Contents")
        ]
        more = _text(root, "IsTruncated") == "true"
        return Page(entries, _text(root, "NextContinuationToken") if more else "")
    except ValueError as error:
        raise BadListing(str(error)) from None


class Version(msgspec.Struct, frozen=True):
    """A version of an object by its id; `tag` is its entity tag with the quotes, empty for a delete marker."""

    id: str
    tag: str


def versions(document: bytes, key: str) -> list[Version]:
    """The versions and markers of this key, the newest first, of an answer to `?versions`; BadListing."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - see the import
        rows = [row for row in root if row.tag.rpartition("}")[2] in {"Version", "DeleteMarker"}]
        found = [row for row in rows if _text(row, "Key") == key]
        return [Version(_text(row, "VersionId"), row.findtext(f"{_SPACE}ETag") or "") for row in found]
    except (ET.ParseError, ValueError) as error:
        raise BadListing(str(error)) from None


def tag(document: bytes, key: str) -> str:
    """The entity tag of this key with its quotes, "" if it is not listed; BadListing."""
    root = _listing(document)
    for item in root.iterfind(f"{_SPACE}Contents"):
        if unquote_plus(item.findtext(f"{_SPACE}Key") or "") == key:
            return item.findtext(f"{_SPACE}ETag") or ""
    return ""


def parity(document: bytes, key: str) -> int | None:
    """How many parity shards this key has, as a MinIO tells if asked for metadata, 0 if not; None if it is not listed.

    BadListing.
    """
    for item in _listing(document).iterfind(f"{_SPACE}Contents"):
        if unquote_plus(item.findtext(f"{_SPACE}Key") or "") == key:
            shards = item.findtext(f"{_SPACE}Internal/{_SPACE}M") or ""
            return int(shards) if shards.isdecimal() else 0
    return None


def _listing(document: bytes) -> ET.Element:
    try:
        root = ET.fromstring(document)  # noqa: S314 - see the import
    except ET.ParseError as error:
        raise BadListing(f"not XML: {error}") from None
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise BadListing(f"a {root.tag[:100]} instead of a ListBucketResult")
    return root


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(f"{_SPACE}{name}")
    if not text:
        raise ValueError(f"{element.tag.rpartition('}')[2]} without {name}")
    return text


@lru_cache(maxsize=64)
def starts_of(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Starts of keys that cover these folders: one for all whose names differ only after the last dash.

    Cached, because a sweep lists the same folders in every spread.
    """
    groups: dict[str, list[str]] = {}
    for folder in folders:
        groups.setdefault(folder.rpartition("-")[0], []).append(folder)
    starts: list[str] = []
    for group, names in groups.items():
        starts += [f"{group}-"] if group and len(names) > 1 else [f"{name}/" for name in names]
    return tuple(starts)


def within(entries: Iterable[Entry], prefix: str, parents: Collection[str], folders: Collection[str]) -> list[Entry]:
    """The entries under `{prefix}{parent}/{folder}/` for these parents and folders."""
    found: list[Entry] = []
    for entry in entries:
        parent, _, rest = entry.key.removeprefix(prefix).partition("/")
        if parent in parents and rest.partition("/")[0] in folders:
            found.append(entry)
    return found
