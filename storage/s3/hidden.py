"""Objects of which too few copies are seen: a MinIO says that there is none, and lets a conditional PUT replace them.

A member that was away lacks what was written meanwhile, until somebody heals it; MinIO does so only for objects that
are read. If another member is away then, fewer than half of the drives show the object, and MinIO reads 404 or an older
version from them, and compares conditions with that (`pickLatestQuorumFilesInfo` in its cmd/erasure-object.go). Its
listings ask the drives that are there, and need half of those only. So while a member is away, or was away a minute
ago, a condition is compared with the listing first, and what is missing is looked up in it. Pure, but for the requests
of the caller.

This needs that at most a third of the members are away at a time, now and whenever an object was written: so programs
change nothing while more are (`choice.py`). Sets in which two write quorums share half of the copies hide nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from . import listing
from .answer import Answer

AWAY: Final = Answer(503, code="CopiesAway")
# What was listed is not known, so neither is what is hidden.
UNREADABLE: Final = Answer(503, code="BadListing")
# Members and write quorum of sets that hide nothing: of two or of four drives.
SAFE: Final = frozenset({(2, 2), (2, 3), (4, 3)})

# A listing of the first key that begins with this one, or a HEAD of it; OSError.
Ask = Callable[[Literal["LIST", "HEAD"], str], Awaitable[Answer]]


async def hidden(ask: Ask, key: str, expected: str) -> Answer | None:
    """Why this object may not be taken for one with this entity tag, "" for none; None if nothing is hidden. OSError.

    Also None if it surely has another entity tag: the store will say so.
    """
    listed = await ask("LIST", key)
    if not listed.went_well:
        return listed
    try:
        tag = listing.tag(listed.body, key)
    except listing.BadListing:
        return UNREADABLE
    if tag == expected:
        return None  # enough drives show what the caller expects, so its condition is compared with the truth
    seen = await ask("HEAD", key)
    if not seen.went_well and seen.status != 404:
        return seen
    # Where listing and object differ, members that are away have the truth.
    return None if tag == (seen.etag if seen.went_well else "") else AWAY
