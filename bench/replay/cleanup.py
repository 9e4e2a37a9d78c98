"""Deletes what a rehearsal made: every post of its moment, each verified to be gone.

The moment itself stays: the service keeps a moment that has fired.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from ..clock import Clock
from ..service import Service, ServiceError

DELETIONS_MAX: Final = 16  # concurrent: a rehearsal in production must not end in a burst of its own
ROUNDS_MAX: Final = 5
ROUND_S: Final = 1.0
NAMED_MAX: Final = 10


class Cleanup(msgspec.Struct, frozen=True):
    """How many posts were deleted and are gone, and a line for each that is not, or for why it is not known."""

    deleted: int
    left: tuple[str, ...] = ()

    def words(self) -> str:
        """What became of the posts, as one line."""
        if not self.left:
            return f"cleanup: {self.deleted} posts deleted, all of them gone"
        named = "; ".join(self.left[:NAMED_MAX])
        more = f"; and {len(self.left) - NAMED_MAX} more" if len(self.left) > NAMED_MAX else ""
        return f"cleanup: {self.deleted} posts deleted, NOT deleted: {named}{more}"


async def clean_up(service: Service, moment_id: str, known: Iterable[str], clock: Clock) -> Cleanup:
    """Delete the known posts and all that the moment lists; raises nothing of the service's errors."""
    gone: set[str] = set()
    left: dict[str, str] = {}
    # A post is known by its acknowledgement or by the moment's listing, which is only an index and may lag behind: both
    # are asked.
    wanted, empty = set(known), 0
    for _ in range(ROUNDS_MAX):
        try:
            listed = {post.id for post in await service.posts(moment_id)}
            left.pop("listing", None)
        except ServiceError as error:
            listed, left["listing"] = set(), f"the posts of moment {moment_id} cannot be listed: {error}"
        empty = 0 if listed - gone or "listing" in left else empty + 1
        await _delete_all(service, (wanted | listed) - gone, gone, left)
        wanted |= listed
        # Twice: an upload that was cut off may still be stored a moment later.
        if empty > 1 and not left:
            break
        await clock.sleep(ROUND_S)
    return Cleanup(len(gone), tuple(why for _, why in sorted(left.items())))


async def _delete_all(service: Service, ids: set[str], gone: set[str], left: dict[str, str]) -> None:
    queue = sorted(ids)

    async def delete() -> None:
        while queue:
            post_id = queue.pop()
            try:
                await service.delete(post_id)
                # A 204 is a promise; here it is checked.
                still = await service.post(post_id)
            except ServiceError as error:
                left[post_id] = f"{post_id}: {error}"
                continue
            if still is None:
                gone.add(post_id)
                left.pop(post_id, None)
            else:
                left[post_id] = f"{post_id}: still shown after its deletion"

    async with asyncio.TaskGroup() as group:
        for number in range(DELETIONS_MAX):
            group.create_task(delete(), name=f"deletions-{number}")
