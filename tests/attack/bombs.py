"""Row 2: photos of a few bytes that cost a worker many seconds."""

import asyncio
import random
from collections import Counter
from pathlib import Path

from tests.attack.stage import Outcome, Stage
from tests.faults.evidence import proven
from tests.faults.phones import Pair

PHOTOS = Path(__file__).with_name("photos")
BOMBS = 12
EVERY_S = 0.25


async def render_bombs(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Upload pairs of photos from `photos/`, unique for each user by bytes after their end; the control's are ordinary.

    The node refuses them, or the posts end rejected; no worker may be killed, and no other post may wait for them.
    """
    moment, files = await stage.moment(), sorted(PHOTOS.iterdir())
    answers: Counter[int] = Counter()
    for number in range(BOMBS):
        pair = stage.camera.pair(rng)
        if harmful:
            photos = (rng.choice(files).read_bytes(), rng.choice(files).read_bytes())
            pair = Pair(*(photo[:2] + comment(rng) + photo[2:] for photo in photos))
        status, _ = await stage.post(moment.id, f"{stage.name}-b{number}", pair, door=number)
        answers[status] += 1
        await asyncio.sleep(EVERY_S)
    await stage.rest()
    what = f"{BOMBS} pairs of {[file.name for file in files]}" if harmful else f"{BOMBS} ordinary pairs"
    return Outcome(proven(answers[0] < BOMBS, f"{what} answered {dict(answers)}"))


def comment(rng: random.Random) -> bytes:
    """A JPEG comment segment of random content, unique to one photo."""
    return b"\xff\xfe\x00\x12" + rng.randbytes(16)
