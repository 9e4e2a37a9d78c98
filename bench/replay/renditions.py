"""The check of the renditions of ready posts: each exists, can be decoded, is small enough and has no metadata.

It checks pixels and tags only; the caller has already decided which posts exist and are ready.
"""

import asyncio
import io
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from PIL import Image

from ..service import Service, ServiceError

LONG_SIDE_MAX: Final = {"thumb": 320, "feed": 1080, "full": 2000}
ALL: Final = (*(f"{photo}/{size}" for photo in ("front", "back") for size in LONG_SIDE_MAX), "composite/feed")
FETCHES_MAX: Final = 8  # concurrent requests: the check must not be a second burst
GPS_TAG: Final = 0x8825


def wanted(post_ids: Sequence[str], every: int, incomplete: Collection[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Every (post id, rendition) to check; for posts in `incomplete`, `full` is not rendered yet and left out."""
    for index, post_id in enumerate(post_ids):
        if index % every == 0:
            some = (name for name in ALL if post_id not in incomplete or not name.endswith("/full"))
            yield from ((post_id, name) for name in some)
        else:
            # One thumb of every post, front and back in turn; all seven of every Nth.
            yield post_id, "back/thumb" if index % 2 else "front/thumb"


def fault(data: bytes, name: str) -> str | None:
    """What is wrong with the bytes of a rendition; None when they are good."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            tags, side = image.getexif(), max(image.size)
            told = {"exif", "xmp", "comment"} & image.info.keys()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"cannot be decoded: {error}"
    if tags or told:
        return f"carries metadata{' with GPS' if GPS_TAG in tags else ''}"
    most = LONG_SIDE_MAX[name.split("/")[1]]
    return f"{side} px on the long side, more than {most}" if side > most else None


async def check_renditions(
    service: Service, post_ids: Sequence[str], every: int, incomplete: Collection[str] = frozenset()
) -> list[str]:
    """Fetch and check the renditions; one line of text for each faulty one, sorted."""
    queue = list(wanted(post_ids, every, incomplete))
    faults: list[str] = []

    async def fetch() -> None:
        while queue:
            post_id, name = queue.pop()
            try:
                data = await service.rendition(post_id, name)
            except ServiceError as error:
                faults.append(str(error))
                continue
            # In a thread: a decoder takes milliseconds, in which the other requests go on.
            wrong = await asyncio.to_thread(fault, data, name)
            if wrong:
                faults.append(f"{post_id} {name}: {wrong}")

    async with asyncio.TaskGroup() as group:
        for number in range(FETCHES_MAX):
            group.create_task(fetch(), name=f"renditions-{number}")
    return sorted(faults)
