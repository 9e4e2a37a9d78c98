"""Row 3 and similar attacks: uploads from many accounts that announce a lot and send at the lowest legal rate."""

import asyncio
import contextlib
import random
from collections import Counter

import msgspec

from tests.attack.stage import Outcome, Stage, head, status_of
from tests.faults.evidence import proven
from tests.faults.phones import BOUNDARY

ANNOUNCED = 20 * 1024 * 1024 - 1024
HARMLESS = 150_000
RATE = 4300  # bytes/s, just above the least legal rate
PIECE_S = 2.0
TICKET = "snapsurge-ticket"
START = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="front"; filename="front.jpg"\r\n'
    "Content-Type: image/jpeg\r\n\r\n"
).encode() + b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


class Tally(msgspec.Struct):
    """Counts over all uploads of an attack."""

    opened: int = 0
    sent: int = 0
    answers: Counter[int] = msgspec.field(default_factory=Counter)
    tickets: int = 0
    live: int = 0
    most: int = 0


async def slow_uploads(
    stage: Stage, rng: random.Random, *, harmful: bool, accounts: int = 56, uploads: int = 456
) -> Outcome:
    """Run `uploads` uploads at once, each at 4.3 KB/s; a refused upload is retried with its ticket."""
    moment, tally = await stage.moment(), Tally()
    length = ANNOUNCED if harmful else HARMLESS
    async with asyncio.TaskGroup() as group:
        for number in range(uploads):
            user = f"{stage.name}-w{number % accounts}"
            call = _upload(stage, moment.id, user, number, length, tally, random.Random(rng.random()))
            group.create_task(call, name=f"{user}/{number}")
    announced = tally.most * length // 2**20
    said = f"{tally.opened} uploads of {accounts} accounts, {tally.most} at once announcing {announced} MiB, "
    said += f"{tally.sent // 1000} KB sent, answers {dict(tally.answers)}, {tally.tickets} tickets"
    return Outcome(proven(tally.opened >= uploads and tally.sent > 0, said))


async def _upload(
    stage: Stage, moment: str, user: str, number: int, length: int, tally: Tally, rng: random.Random
) -> None:
    fields = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(length)}
    await asyncio.sleep(rng.uniform(0, PIECE_S))
    while stage.lasts:
        tally.opened += 1
        with contextlib.suppress(OSError, TimeoutError):
            async with stage.connection(number) as (reader, writer):
                writer.write(head("POST", f"/v1/moments/{moment}/posts", user, fields) + START)
                tally.live += 1
                tally.most = max(tally.most, tally.live)
                try:
                    status, answer = await _trickle(stage, reader, writer, tally)
                finally:
                    tally.live -= 1
                tally.answers[status] += 1
                if ticket := answer.get(TICKET):
                    tally.tickets += 1
                    fields[TICKET] = ticket
        await asyncio.sleep(rng.uniform(1.0, 3.0))


async def _trickle(
    stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally
) -> tuple[int, dict[str, str]]:
    """Send until the upload is answered; (0, {}) when the attack ends first."""
    piece = bytes(int(RATE * PIECE_S))
    answer = asyncio.create_task(status_of(reader), name="answer")  # noqa: TID251 - awaited or cancelled below
    try:
        while stage.lasts:
            done, _ = await asyncio.wait([answer], timeout=PIECE_S)
            if done:
                return answer.result()
            writer.write(piece)
            tally.sent += len(piece)
    finally:
        answer.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await answer
    return 0, {}
