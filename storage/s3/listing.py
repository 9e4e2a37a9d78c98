"""Pages of a listing (ListObjectsV2), from the XML that the store answers with. Pure.

Keys are percent-encoded in the answer (`encoding-type=url`), because XML cannot hold every character of a key. Source:
"ListObjectsV2", Amazon S3 API Reference.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

import msgspec

from ..blobs import Entry, StoreUnavailable

PAGE_MAX: Final = 1000  # the most that S3 sends
# Folders that lie far apart are listed by one request while all keys between them fit one such page, as they do in a
# small or idle store. In a large store they are listed by groups, and the page is tried again after `LARGE_S`.
MERGED_MAX: Final = 200
LARGE_S: Final = 60.0


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


class Page(msgspec.Struct, frozen=True):
    """Entries in the order of their keys, and the token of the next page; None after the last one."""

    entries: list[Entry]
    more: str | None


def parse_page(raw: bytes) -> Page:
    """Parse a page; StoreUnavailable when it is no listing."""
    entries, more, truncated = list[Entry](), None, False
    try:
        root = ET.fromstring(raw)  # noqa: S314 - expat expands no external entities and limits internal ones
        for child in root:
            match child.tag.rpartition("}")[2]:
                case "Contents":
                    fields = {field.tag.rpartition("}")[2]: field.text or "" for field in child}
                    entries.append(Entry(unquote_plus(fields["Key"]), int(fields["Size"])))
                case "IsTruncated":
                    truncated = child.text == "true"
                case "NextContinuationToken":
                    more = child.text
    except (ET.ParseError, ValueError, KeyError) as error:
        raise StoreUnavailable(f"the store's listing cannot be read: {error}") from error
    if not root.tag.endswith("ListBucketResult"):
        raise StoreUnavailable(f"the store answered a listing with {root.tag}")
    return Page(entries, more if truncated else None)
