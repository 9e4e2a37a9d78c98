"""All members of the store are killed at once and restarted, as by a power cut, while users send several pairs at once.

The nodes stay up. A user who sends four different pairs at once, through two nodes, has one of them stored: one answer
201, and that pair is there in the end. The set is that of deploy/README.md: three members with two drives each, of
which a member that does not see the others yet lets a second PUT with `If-None-Match: *` succeed.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from deploy.config import DEVELOPMENT_SECRET
from deploy.tokens import token
from storage import keys
from storage.blobs import StoreUnavailable
from storage.existence import Existence
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.e2e.test_stack_up import SMALL, Up, up
from tests.erasure import ErasureSet, erasure_set
from tests.faults.phones import BOUNDARY, Camera

pytestmark = pytest.mark.e2e

PAIRS = 4
NO_ANSWER = 0
REFUSED = {503, NO_ANSWER}
# Batches in which nobody was refused, before a round ends.
CALM = 10
# A member that was away is used again about twenty seconds after it came back.
LATEST_S = 45.0
LOST_S = 240.0


class Users:
    """Users of one moment, each with several pairs, and what each was answered."""

    def __init__(self, stack: Up, session: aiohttp.ClientSession, seed: int) -> None:
        self._nodes = [one["url"] for one in stack.record()["nodes"]]
        self._session = session
        self._rng = random.Random(seed)
        self._camera = Camera(sizes=(12_000,))
        self._count = 0
        self.moment = ""
        # By post id: the first photo of each pair that was acknowledged, and of the pair of each answer 201.
        self.stored: dict[str, set[str]] = {}
        self.created: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def _bearer(self, user: str, scope: Literal["upload", "ops"]) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(DEVELOPMENT_SECRET, user, scope, now=time.time(), ttl_s=600)}"}

    async def open(self) -> None:
        """Open a moment."""
        url = f"{self._nodes[0]}/v1/moments"
        async with self._session.post(url, json={"region": "eu"}, headers=self._bearer("ops", "ops")) as answer:
            assert answer.status == 201, await answer.text()
            self.moment = (await answer.json())["id"]

    async def batch(self, users: int = 3) -> Counter[int]:
        """So many new users send their pairs at once; how often which status was answered."""
        names = [f"user-{self._count + number}" for number in range(users)]
        self._count += users
        ends = await asyncio.gather(*(self._post(name, number) for name in names for number in range(PAIRS)))
        self.statuses.update(ends)
        return Counter(ends)

    async def _post(self, user: str, number: int) -> int:
        headers = {**self._bearer(user, "upload"), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        url = f"{self._nodes[number % len(self._nodes)]}/v1/moments/{self.moment}/posts"
        body = self._camera.pair(self._rng).body
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                said: Any = json.loads(await answer.read())
        except aiohttp.ClientConnectionError:  # a node that no balancer asks for a while restarts itself
            return NO_ANSWER
        if answer.status in {200, 201}:
            self.stored.setdefault(said["id"], set()).add(said["photos"]["front"]["sha256"])
            self.created[said["id"]] += answer.status == 201
        return answer.status


async def stored_photo(store: S3Store, post_id: str) -> str:
    """The first photo of the pair that the store has, "" if it has none; asked until the store can answer."""
    deadline = time.monotonic() + LOST_S
    while True:
        try:
            found = await Existence(store).look(keys.moment_of(post_id), post_id)
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store does not come back"
            await asyncio.sleep(1)
        else:
            return found.receipt.photos.front.sha256 if found.receipt else ""


async def one_round(users: Users, cluster: ErasureSet, seen: set[str]) -> str:
    """A power cut under users; in the end each acknowledged pair is the one that is stored. Returns what happened."""
    while (await users.batch()).keys() & REFUSED:
        pass
    before, pids = users.statuses.copy(), {one.pid for one in cluster.members}
    for one in cluster.members:
        one.kill()
    away = await users.batch()
    for one in cluster.members:
        one.start()
    assert away.keys() <= REFUSED
    assert not {one.pid for one in cluster.members} & pids
    began, calm, first_s = time.monotonic(), 0, 0.0
    while calm < CALM or time.monotonic() < began + LATEST_S:
        assert time.monotonic() < began + LOST_S, "the store does not come back"
        ends = await users.batch()
        calm = 0 if ends.keys() & REFUSED else calm + 1
        if ends[201] and not first_s:
            first_s = time.monotonic() - began
    counted = users.statuses - before
    doubled = [post_id for post_id, count in users.created.items() if count > 1]
    mixed = [post_id for post_id, photos in users.stored.items() if len(photos) > 1]
    lost = []
    async with S3Store(S3Address.parse(cluster.url("restarts"))) as store:
        for post_id, photos in users.stored.items():
            if post_id not in seen and await stored_photo(store, post_id) not in photos:
                lost.append(post_id)
    seen |= users.stored.keys()
    told = f"{dict(sorted(counted.items()))}, first 201 after {first_s:.1f} s"
    told += f", doubled {len(doubled)}, mixed {len(mixed)}, lost {len(lost)}"
    return told


async def rounds(tmp_path: Path, count: int) -> list[str]:
    """So many power cuts of one stack with two nodes, and what happened in each."""
    told = []
    with (
        erasure_set(tmp_path, members=3, drives=2) as cluster,
        up(tmp_path / "s", "--port", "0", "--store", cluster.url("restarts"), *SMALL, "--nodes", "2") as stack,
    ):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60.0)) as session:
            users = Users(stack, session, seed=13)
            await users.open()
            seen: set[str] = set()
            for number in range(count):
                told.append(await one_round(users, cluster, seen))
                sys.stdout.write(f"power cut {number}: {told[-1]}\n")
                sys.stdout.flush()
    return told


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_after_many_power_cuts_no_acknowledged_pair_was_replaced(tmp_path: Path) -> None:
    """Twelve, because members find each other at once after most."""
    for told in await rounds(tmp_path, 12):
        assert told.endswith("doubled 0, mixed 0, lost 0"), told
