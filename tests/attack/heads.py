"""Row 8 and similar attacks: request heads that are as costly as possible to parse before the request is decided."""

import asyncio
import contextlib
import random
from collections import Counter

from tests.attack.stage import Outcome, Stage, head, status_of
from tests.faults.evidence import proven
from tests.faults.phones import BOUNDARY

SEMICOLONS = 15_000
EVERY_S = 0.37


async def content_type(stage: Stage, rng: random.Random, *, harmful: bool, semicolons: int = SEMICOLONS) -> Outcome:
    """Send 2.7 requests a second with one token and a Content-Type of thousands of parameters."""
    moment, user = await stage.moment(), f"{stage.name}-h"
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    if harmful:
        kind = 'multipart/form-data; x="' + ";" * semicolons
    answers: Counter[int] = Counter()
    sent = 0

    async def one(number: int) -> None:
        fields = {"Content-Type": kind, "Content-Length": "1000", "Connection": "close"}
        status = 0
        with contextlib.suppress(OSError, TimeoutError):
            async with stage.connection(number) as (reader, writer), asyncio.timeout(20):
                writer.write(head("POST", f"/v1/moments/{moment.id}/posts", user, fields) + bytes(1000))
                status, _ = await status_of(reader)
        answers[status] += 1

    async with asyncio.TaskGroup() as group:
        while stage.lasts:
            group.create_task(one(sent), name=f"head {sent}")
            sent += 1
            await asyncio.sleep(EVERY_S)
    return Outcome(proven(sent > 10, f"{sent} heads with a Content-Type of {len(kind)} bytes, answers {dict(answers)}"))
