"""Listings of a bucket: the query of ListObjectsV2, and its answer, an XML document with at most 1,000 keys.

Pure. A page of a moment asks for up to 256 listings, one for each spread, most of them short; with aioboto3 each costs
4 ms of CPU, here it costs its signature and expat. Source: "ListObjectsV2", Amazon S3 API Reference.
"""

from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree as ET  # expat bounds the expansion of entities, and the store is ours

from ..blobs import Entry

_SPACE = "{*}"  # S3 and MinIO name its namespace, others do not


class BadListing(Exception):
    """A document that is no listing; the text says why."""


def query(prefix: str, after: str = "", token: str = "") -> str:
    """The query of one page, percent-encoded and sorted as its signature needs it; `token` names a further page."""
    pairs = {
        "continuation-token": token,
        "encoding-type": "url",  # without it, a key with a control character makes a document that no parser reads
        "list-type": "2",
        "prefix": prefix,
        "start-after": "" if token else after,
    }
    return "&".join(f"{name}={quote(value, safe='~')}" for name, value in pairs.items() if value)


def parsed(document: bytes) -> tuple[list[Entry], str]:
    """The entries in key order, and the token of the next page, empty after the last; BadListing."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - see the import
    except ET.ParseError as error:
        raise BadListing(f"not XML: {error}") from None
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise BadListing(f"a {root.tag[:100]} instead of a ListBucketResult")
    try:
        entries = [
            Entry(unquote_plus(_text(item, "Key"), errors="strict"), int(_text(item, "Size")))
            for item in root.iterfind(f"{_SPACE}Contents")
        ]
        more = _text(root, "IsTruncated") == "true"
        return entries, _text(root, "NextContinuationToken") if more else ""
    except ValueError as error:
        raise BadListing(str(error)) from None


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(f"{_SPACE}{name}")
    if not text:
        raise ValueError(f"{element.tag.rpartition('}')[2]} without {name}")
    return text
