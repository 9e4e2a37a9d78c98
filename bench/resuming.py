"""The phone's side of a resumable upload: draft-ietf-httpbis-resumable-upload, interop version 8 (draft -09 and on).

The first request announces the version. A 104 then names the upload. After a break a HEAD asks how much has arrived,
and a PATCH sends the rest; its answer is that of the post. Pure: fields come in, lines of heads go out.
"""

import base64
import hashlib
from typing import Final
from urllib.parse import urlsplit

from .answers import Response

INTEROP: Final = "8"
INTEROP_LINE: Final = f"Upload-Draft-Interop-Version: {INTEROP}\r\n"
# An upload that is gone is sent again as a whole, with the ticket.
GONE: Final = frozenset({404, 410})
CONFLICT: Final = 409


def creating(body: bytes) -> str:
    """The lines of the request that creates the upload by sending all of it."""
    # With a digest of the body a balancer adds a ticket to the 104.
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return f"{INTEROP_LINE}Upload-Complete: ?1\r\nContent-Digest: sha-256=:{digest}:\r\n"


def appending(offset: int) -> str:
    """The lines of the request that sends all from this offset on."""
    return (
        f"{INTEROP_LINE}Content-Type: application/partial-upload\r\nUpload-Offset: {offset}\r\nUpload-Complete: ?1\r\n"
    )


def named(told: dict[str, str]) -> str | None:
    """The path of the upload that the 104s of a request name; None without one, or of another version.

    Only the path counts, so that no answer sends a phone, with its token, to another server.
    """
    if told.get("upload-draft-interop-version") != INTEROP:
        return None
    found = urlsplit(told.get("location", ""))
    return (found.path + (f"?{found.query}" if found.query else "")) or None


def offset_in(found: Response, length: int) -> int | None:
    """The offset that an answer tells; None when there is none, or one behind the end."""
    told = found.headers.get("upload-offset", "")
    offset = int(told) if told.isascii() and told.isdigit() else length + 1
    # Where all has arrived and the service failed, the offset is the length, and the PATCH is empty.
    return offset if offset <= length else None


def ended(found: Response) -> bool:
    """Whether this answer is the end of the upload, whatever it says."""
    return found.headers.get("upload-complete") == "?1"


def mismatched(found: Response, length: int) -> bool:
    """Whether an append was refused because it does not begin where the upload stands."""
    return found.status == CONFLICT and not ended(found) and offset_in(found, length) is not None
