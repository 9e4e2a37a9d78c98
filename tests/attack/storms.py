"""More attacks, which are not in the issue's table: legal requests, cheap for the sender and costly for the stack."""

import asyncio
import base64
import contextlib
import itertools
import random
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from tests.attack.readers import deaf
from tests.attack.stage import Outcome, Stage, bearer, head, jitter
from tests.faults.evidence import proven
from tests.faults.phones import BOUNDARY, Camera

LARGE = 3_000_000  # bytes of a photo: a legal size that good cameras produce
LIST_S = 40.0  # slow: a page of a small moment makes a store request for each of the 256 spreads
PIECES = 8


async def _many(stage: Stage, count: int, one: Callable[[int, random.Random], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number, random.Random(f"{stage.name}{number}")), name=f"attacker {number}")


async def slow_large_pairs(stage: Stage, rng: random.Random, *, harmful: bool, accounts: int = 200) -> Outcome:
    """Each account uploads one whole legal pair of 6 MB at the lowest legal rate; the control's pairs are 100 KB."""
    moment = await stage.moment()
    body = Camera((LARGE,) if harmful else (50_000,)).pair(rng).body
    answers: Counter[int] = Counter()
    fields = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body))}

    async def one(number: int, own: random.Random) -> None:
        user = f"{stage.name}-large{number}"
        await asyncio.sleep(own.uniform(0, 3))
        with contextlib.suppress(OSError, TimeoutError):
            async with stage.connection(number) as (_, writer):
                writer.write(head("POST", f"/v1/moments/{moment.id}/posts", user, fields))
                for at in range(0, len(body), 10_000):
                    if not stage.lasts:
                        break
                    writer.write(body[at : at + 10_000])
                    await asyncio.sleep(2.0)
        answers[0] += 1

    await _many(stage, accounts, one)
    return Outcome(proven(answers[0] == accounts, f"{accounts} uploads of {len(body)} bytes at 5 KB/s"))


async def ranges(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Request a rendition with a Range field of very many ranges, and byte by byte; the control requests one range."""
    moment, user = await stage.moment(), f"{stage.name}-ranges"
    post = await stage.posted(moment.id, user, stage.camera.pair(rng))
    link = (await stage.until_ready(post["id"], user, 30.0))["links"]["front-feed"]
    answers: Counter[int] = Counter()

    async def one(number: int, own: random.Random) -> None:
        while stage.lasts:
            at = own.randrange(1000)
            many = ",".join(f"{each}-{each + 1}" for each in range(0, 8000, 4))[:14_000].rpartition(",")[0]
            wanted = own.choice((f"bytes={many}", f"bytes={at}-{at}")) if harmful else f"bytes={at}-{at + 100}"
            status, _ = await stage.ask("GET", link, user, door=number, headers={"Range": wanted})
            answers[status] += 1
            await asyncio.sleep(jitter(own, 1.0))

    await _many(stage, 30, one)
    return Outcome(proven(answers[200] + answers[206] > 0, f"30 connections, answers {dict(answers)}"))


async def slow_heads(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Open connections that send their request head at one byte a second."""
    answers: Counter[int] = Counter()

    async def one(number: int, own: random.Random) -> None:
        await asyncio.sleep(own.uniform(0, 3))
        with contextlib.suppress(OSError, TimeoutError):
            async with stage.connection(number) as (_, writer):
                writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
                while stage.lasts and not writer.is_closing():
                    writer.write(b"x")
                    answers[1] += 1
                    await asyncio.sleep(1.0)

    await _many(stage, 300, one)
    return Outcome(proven(answers[1] > 300, f"300 connections, {answers[1]} bytes"))


async def idle(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Open connections and send nothing on them."""
    opened: list[socket.socket] = []
    try:
        for number in range(1500):
            opened.append(await deaf(stage, number, b""))
            if number % 50 == 49:
                await asyncio.sleep(0.02)
        await stage.rest()
    finally:
        for one in opened:
            one.close()
    return Outcome(proven(len(opened) == 1500, f"{len(opened)} idle connections"))


async def fat_tokens(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Send invalid bearer tokens of 15 KB, each different; the control's are as short as a valid token."""
    answers: Counter[int] = Counter()
    size = 10_000 if harmful else 100

    async def one(number: int, own: random.Random) -> None:
        while stage.lasts:
            claims = base64.urlsafe_b64encode(
                b'{"sub":"%d","x":"%s"}' % (number, own.randbytes(size).hex().encode()[:size])
            )
            token = f"{bearer('x').split('.')[0]}.{claims.decode().rstrip('=')}.AAAA"
            fields = {"Authorization": f"Bearer {token}"}
            status, _ = await stage.ask("GET", "/v1/moments/current?region=x", "x", door=number, headers=fields)
            answers[status] += 1
            await asyncio.sleep(jitter(own, 1.0))

    await _many(stage, 60, one)
    return Outcome(proven(answers[401] > 0, f"{answers.total()} tokens of {size * 4 // 3} bytes, {dict(answers)}"))


async def lists(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Read pages of 500 posts and summaries of the honest phones' moment; the control reads pages of one post."""
    answers: Counter[int] = Counter()
    limit = 500 if harmful else 1

    async def one(number: int, own: random.Random) -> None:
        while stage.lasts:
            path = f"/v1/moments/{stage.judged}/posts?limit={limit}"
            status, _ = await stage.ask("GET", path, "attack-ops", door=number, scope="ops", answer_s=LIST_S)
            answers[status] += 1
            await asyncio.sleep(jitter(own, 2.0))

    await _many(stage, 6, one)
    return Outcome(proven(answers[200] > 0, f"6 connections, answers {dict(answers)}"))


async def cycles(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """A hundred users post and delete in turn; the control's users post the same pair as often."""
    moment, camera = await stage.moment(), Camera((8_000,))
    answers: Counter[str] = Counter()

    async def one(number: int, own: random.Random) -> None:
        user, pair = f"{stage.name}-cycle{number}", camera.pair(own)
        await asyncio.sleep(own.uniform(0, 6))
        for turn in itertools.count():
            if not stage.lasts or turn == PIECES:
                return
            status, post = await stage.post(moment.id, user, pair, door=number)
            answers[f"POST {status}"] += 1
            if harmful and status in {200, 201}:
                status, _ = await stage.ask("DELETE", f"/v1/posts/{post['id']}", user, door=number)
                answers[f"DELETE {status}"] += 1
            await asyncio.sleep(jitter(own, 8.0))

    await _many(stage, 100, one)
    return Outcome(proven(answers.total() > 100, f"answers {dict(answers)}"))
