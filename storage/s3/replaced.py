"""Whether a change replaced an object that members hid, told by the versions of its key; then the change is undone.

MinIO compares the condition of a PUT with the drives that it sees (`hidden.py`). A member, or drives, may go after the
caller found all of them there and before MinIO looks. So a change during which not all of them stayed is not believed:
the bucket keeps versions, so what was hidden is there, beside what has just been written. If there is a version that
the condition excludes, our own one is removed, which makes the older one the newest again. A delete marker ends what a
condition is compared with. Replaced versions are removed as soon as they are replaced, so that others are rare: what a
crash has left behind is taken for a hidden object, and the caller may ask again when all members are back.

Pure, but for the requests of the caller. Without versions nothing can be told.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Final, Literal

from . import listing
from .answer import Answer
from .hidden import AWAY

log = logging.getLogger("snapsurge.storage.s3")

UNKNOWN: Final = Answer(503, code="VersionsUnknown")
_UNVERSIONED: Final = "null"

# The versions of the key, by each member that answers, or one answer: that this version is removed. Raises OSError.
Ask = Callable[[Literal["VERSIONS", "REMOVE"], str], Awaitable[Sequence[Answer]]]


async def replaced(ask: Ask, key: str, tag: str, expected: str, *, done: bool) -> Answer | None:
    """Why a change is not acknowledged that wrote this entity tag where it expected another, "" for none; OSError.

    `done`: it was; else it may have been.
    """
    own = ""
    for said in await ask("VERSIONS", ""):
        try:
            rows = listing.versions(said.body, key) if said.went_well else []
        except listing.BadListing:
            continue
        position = next((number for number, row in enumerate(rows) if row.tag == tag), None)
        if position is None:
            continue
        own = rows[position].id
        if own == _UNVERSIONED:
            return None
        # What is above may have been written before by a member whose clock is ahead.
        others = [*rows[:position], *takewhile(lambda row: row.tag, rows[position + 1 :])]
        if any(row.tag not in {"", expected} for row in others):
            await _removed(ask, key, own)
            return AWAY
    return UNKNOWN if done and not own else None


async def _removed(ask: Ask, key: str, version: str) -> None:
    try:
        said = (await ask("REMOVE", version))[0]
        why = "" if said.went_well else said.code
    except OSError as error:
        why = f"{type(error).__name__}: {error}"
    if why:
        log.error(
            "could not remove version %s of %s, which replaced an older version that members did not show (%s); "
            "remove it by hand: it was not acknowledged",
            version,
            key,
            why,
        )
