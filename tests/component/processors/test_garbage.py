"""One value in Redis of a form that nobody writes, for every key and field there is: everything else goes on.

Each case begins with the same store and the same Redis, spoils one value, and lets honest users post, workers work and
the sweeper sweep. All posts end as they would have without it, and what Redis says of them is right.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest.gcra import Rate
from ingest.heartbeat import Heartbeat, Member
from ingest.ratelimit import RateLimiter
from processors.election import Election
from processors.functions import functions
from processors.letters import DeadLetters
from processors.registry import Registry
from processors.retries import Patience, Retrying
from processors.scaling.history import recalled, remember
from processors.scaling.presence import beat, heard_in, hearing
from processors.scaling.pulse import Pulse
from processors.scaling.sizing import Needed
from processors.scaling.targets import Target, announced, found
from processors.sweeper import Sweeper
from storage.files import FileStore
from storage.keys import COUNTED_KEY, LEASES_KEY, LIFE_KEY, POST_KEY, QUEUE_KEYS
from storage.queue.claims import Claims, Room
from storage.queue.lease import Again, Attempts, Done, Settlement
from storage.scripts import run_one
from storage.tallies import Tally, tallied, tell

from .conftest import FIRES_MS, World

NOW_S = FIRES_MS / 1000 + 60
TEXTS = [b"", b"garbage", b"\xff\x00\x01", b"nan", b"1e300", b"{}", b"9" * 40]
SCORES = ["0", "inf", "-inf", "1e300", "-1e300"]
PULSE = Pulse(1, 1.0)
Harm = tuple[str, tuple[Any, ...]]
Case = tuple[bytes, Harm]
FEW = 12
PARTS = 8


async def harms(redis: Redis, key: bytes) -> list[Harm]:
    """What can be written to this key, as a name and a command each: other types, and values of its own type."""
    kind, value = (await redis.type(key)).decode(), b""
    others = {"string": ("SET", key, "x"), "hash": ("HSET", key, "a", "b"), "zset": ("ZADD", key, "1", "a")}
    found: list[Harm] = [(f"another type: {name}", command) for name, command in others.items() if name != kind]
    if kind == "string":
        value = await redis.get(key)
        found += [(repr(text), ("SET", key, text, "KEEPTTL")) for text in (*TEXTS, value[: len(value) // 2])]
    elif kind == "hash":
        fields: dict[bytes, bytes] = await redis.hgetall(key)
        for field, value in fields.items():
            texts = (*TEXTS, value[: len(value) // 2])
            found += [(f"{field!r} {text!r}", ("HSET", key, field, text)) for text in texts]
        found.append(("another field", ("HSET", key, b"\xff\x02", b"\xff\x03")))
    elif kind == "zset":
        there = (await redis.zrange(key, 0, 0))[0]
        members = (there, b"\xff\x04")
        found += [(f"{one!r} {score}", ("ZADD", key, score, one)) for one in members for score in SCORES]
        found.append(("a member of now", ("ZADD", key, await redis.zscore(key, there) or 1, b"\xff\x05")))
    elif kind == "set":
        found.append(("a member", ("SADD", key, b"\xff\x06")))
    return found


class Stack:
    """What the programs do with one world, each with the same Redis."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.redis = world.redis
        self.jobs = Registry(functions(world.jobs(), 30.0))
        self.retrying = Retrying(world.metrics, Patience(floor_s=0.001, cap_s=0.01), random.Random(1))
        self.claims = Claims(self.redis, 0.3)
        self.sweeper = Sweeper(world.store, self.redis, every_s=15)
        self.turn = self.now_s = 0

    async def work(self) -> None:
        """Claim and run jobs until no queue has one that will be due soon."""
        settled: list[Settlement] = []
        while True:
            self.turn += 1
            turn = await self.claims.settle_and_claim(f"w:1:a:{self.turn}", Room(8, 0, 64), settled)
            settled = []
            for one in turn.claimed:
                call = self.jobs.call(one)
                settled.append(await self.retrying.run(one, call.name, call.run, call.args))
            if not turn.claimed and not 0 <= turn.next_ms < 5000:
                return

    async def sweep(self, passes: int) -> None:
        """So many passes of the sweeper, from wherever it is."""
        for _ in range(16 * passes):
            self.now_s += 1
            await self.sweeper.step(NOW_S + self.now_s)

    async def beside(self, token: str) -> None:
        """What nodes, workers and the autoscaler do besides, all of it."""
        redis, moment_id = self.redis, self.world.moment_id
        election = Election(redis, token, term_s=5.0)
        await election.campaign()
        await beat(redis, "host:1:life", PULSE, ttl_s=30)
        await remember(redis, (Needed(at_ms=1, workers=2),), keep_s=60)
        assert await recalled(redis) == (Needed(at_ms=1, workers=2),)
        if election.elected:
            assert heard_in(await run_one(redis, hearing(token))).fresh == {"host:1:life": PULSE}
        await self.world.queue.depth()
        await tell(redis, moment_id, "life", Tally(node="a", tries={"created": 1}, told=1), {"a" * 26: 5})
        assert (await tallied(redis, moment_id)).refused.keys() <= {"a" * 26}
        async with announced(redis, Target("worker", "127.0.0.1:9")):
            assert await found(redis)
        await DeadLetters(redis).all()

    async def node(self) -> None:
        """What a node asks of Redis for an upload."""
        heartbeat = Heartbeat(self.redis, "a", lambda: Member("127.0.0.1:1", 1, "", "serving"), 1.0)
        await heartbeat.beat()
        assert heartbeat._heard
        async with RateLimiter({"": self.redis}, Rate(1000, 1)) as limiter:
            assert (await limiter.check("ann", "x")).allowed
            assert not limiter._away


async def prepared(world: World) -> dict[str, str]:
    """Posts in every state, and keys of every kind; the posts by what should become of them."""
    stack = Stack(world)
    posts = {name: await world.post(name) for name in ("ready", "waiting", "lost", "failed", "dead", "deleted")}
    await world.enqueue(*(posts[name] for name in ("ready", "deleted")))
    await stack.work()
    await world.delete("deleted")
    await world.enqueue(posts["dead"])
    letters = [Done(one, b"{}") for one in await stack.claims.claim("w:1:b:1", 8)]
    assert all(await stack.claims.settle(letters))
    await world.enqueue(posts["failed"])
    failed = [Again(one, Attempts(faults=1)) for one in await stack.claims.claim("w:1:b:2", 8)]
    assert all(await stack.claims.settle(failed))
    await world.enqueue(posts["lost"])
    await stack.claims.claim("w:1:b:3", 8)
    await world.enqueue(posts["waiting"])
    await world.moments.since(FIRES_MS - 1000)
    await stack.node()
    await stack.beside("first")
    await stack.sweeper.step(NOW_S)
    return posts


async def judged(world: World, posts: dict[str, str]) -> list[str]:
    """What is wrong with the posts of this world, in store and Redis."""
    wrong = []
    for name, post_id in posts.items():
        record, entry = await world.record(post_id), (await world.index.posts([post_id]))[0]
        if name == "deleted":
            wrong += [f"{name} in the index"] * (entry is not None) + [f"{name} in the store"] * (record is not None)
        elif name != "dead":
            wrong += [f"{name} {record}"] * (record is None or record.state != "ready")
            wrong += [f"{name} indexed as {entry}"] * (entry is not None and entry.state != "ready")
    ready = sum(name not in {"deleted", "dead"} for name in posts)
    rest = await world.counted()
    if (rest.get("accepted"), rest.get("ready")) not in {(ready + 1, ready), (ready + 1, ready + 1)}:
        wrong.append(f"counts {rest}")
    left = [one for queue in QUEUE_KEYS for one in await world.redis.zrange(queue, 0, -1) if b":" in one]
    wrong += [f"left in a queue: {left}"] if left else []
    return wrong


class Copies:
    """The store and the Redis of a world, to begin each case with."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.number = world, folder, 0
        self.keys: dict[bytes, tuple[bytes, int]] = {}

    async def take(self) -> None:
        """Keep what there is."""
        shutil.copytree(self.world.store.root, self.folder / "kept")
        for key in await self.world.redis.keys():
            self.keys[key] = await self.world.redis.dump(key), max(await self.world.redis.pttl(key), 0)

    async def world_again(self) -> World:
        """A new world like the one that was kept."""
        self.number += 1
        root = self.folder / str(self.number)
        shutil.copytree(self.folder / "kept", root)
        await self.world.redis.flushall()
        for key, (value, ttl_ms) in self.keys.items():
            await self.world.redis.restore(key, ttl_ms, value)
        store = FileStore(root)
        again = World(store, self.world.redis, self.world.threads)
        again.moment_id, again.attempts = self.world.moment_id, list(self.world.attempts)
        return again


async def trial(world: World, posts: dict[str, str], harm: Harm) -> list[str]:
    """Spoil one value and go on; what is wrong afterwards."""
    if harm[0].startswith("another type"):
        await world.redis.delete(harm[1][1])
    await world.redis.execute_command(*harm[1])
    try:
        async with world.store:
            stack = Stack(world)
            await stack.sweeper.step(NOW_S)  # every second or so; it deletes keys of another type
            honest = {name: await world.post(name) for name in ("honest", "other")}
            await world.enqueue(*honest.values())
            await stack.node()
            await stack.work()
            await stack.sweep(1)
            await stack.work()
            await stack.sweep(2)
            await world.delete("other")
            await stack.beside("second")
            return await judged(world, posts | {"honest": honest["honest"], "deleted": honest["other"]})
    except Exception as error:  # noqa: BLE001 - the report of all cases is wanted
        return [repr(error)[:300]]


async def tried(world: World, folder: Path, chosen: Callable[[list[Case]], Sequence[Case]]) -> dict[str, list[str]]:
    """Go through the chosen ones of all cases; what is wrong after which."""
    posts = await prepared(world)
    copies = Copies(world, folder)
    await copies.take()
    cases = [(key, harm) for key in sorted(copies.keys) for harm in await harms(world.redis, key)]
    wrong = {}
    for key, harm in chosen(cases):
        if bad := await trial(await copies.world_again(), posts, harm):
            wrong[f"{key.decode()}: {harm[0]}"] = bad
    return wrong


async def test_a_value_of_another_form_stops_nothing_else(world: World, tmp_path: Path) -> None:
    """A few of the cases; other ones in each run."""
    seed = random.randrange(10**6)
    assert await tried(world, tmp_path, lambda cases: random.Random(seed).sample(cases, FEW)) == {}, f"seed {seed}"


@pytest.mark.parametrize(
    "case",
    [
        (LEASES_KEY, "garbage"),
        (LEASES_KEY, "another type"),
        (COUNTED_KEY, "'finished' b'garbage'"),
        (QUEUE_KEYS[1], "another type"),
        (POST_KEY, "'a' b'garbage'"),
        (LIFE_KEY, "xff"),
    ],
)
async def test_what_an_attacker_found(world: World, tmp_path: Path, case: tuple[str, str]) -> None:
    """A garbled lease stopped a whole queue, a garbled counter each settlement, a garbled entry hid a deletion."""

    def chosen(cases: list[Case]) -> Sequence[Case]:
        found = [(key, harm) for key, harm in cases if key.decode().startswith(case[0]) and case[1] in harm[0]]
        assert found
        return found[:8]

    assert await tried(world, tmp_path, chosen) == {}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
async def test_no_value_of_another_form_stops_anything_else(world: World, tmp_path: Path, part: int) -> None:
    """Each key with another type, each field and text with garbage, each sorted set with odd members and scores."""
    assert await tried(world, tmp_path, lambda cases: cases[part::PARTS]) == {}
