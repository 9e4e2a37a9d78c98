"""Rows 1, 4 and 10: uploads and deletions that come late, twice, with a reused request id, or while Redis refuses.

The witness records what these attackers post and delete. The checker therefore finds a pair that was acknowledged after
a deletion and is lost, and a deleted pair that is revived, in the store, the API and on every node.
"""

import asyncio
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

import psutil
from redis.exceptions import RedisError, ResponseError

from tests.attack.stage import Outcome, Stage
from tests.faults.evidence import Void, proven
from tests.faults.phones import Camera, Phones
from tests.faults.toxics import Copied, Hold, Lost

# The store request that deletes a post: a DELETE, or the conditional PUT that replaces exactly one object.
ENDING = rb"(DELETE /[^ ]*/intake/|PUT /[^ ]*/intake/[^ ]* (?=[\s\S]*?\r\nif-match:))"
CHANGE = rb"(PUT|DELETE) /[^ ]*/(intake|media)/"
USERS = 6
Act = Callable[[str, int], Coroutine[Any, Any, None]]
DELETE_S = 3.0  # how long a phone waits for the answer to its deletion
SLOW_PX = 1500  # so that a render is slow enough for another request to overtake it


async def _all(stage: Stage, what: str, act: Act, users: int = USERS) -> list[str]:
    """Run `act` for each user of this attack concurrently; returns the users' names."""
    names = [f"{stage.name}-{what}{number}" for number in range(users)]
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(names):
            group.create_task(act(user, number), name=user)
    return names


async def deletion_lost(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Drop a deletion's store request; the phone deletes again and posts, then the store's client retries the first."""
    proxy, phones = stage.rig.store_proxy, stage.phones
    assert proxy

    async def post(user: str, number: int) -> None:
        await phones.upload(f"{user}/0", user, stage.camera.pair(rng), random.Random(user), door=number)

    async def come_back(user: str, number: int) -> None:
        own = random.Random(user)
        await phones.erase(f"{user}/gone", user, own, door=number, answer_s=DELETE_S)
        await phones.upload(f"{user}/1", user, stage.camera.pair(rng), own, door=number)

    await _all(stage, "l", post)
    with proxy.toxic(Lost(ENDING, USERS)) as toxic:
        await _all(stage, "l", come_back)
    await asyncio.sleep(1.0)  # for the store client's retry
    return Outcome(proven(toxic.hits > 0, f"{toxic.hits} deletions swallowed before the store and sent again"))


async def requests_repeated(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Send every store request of a post, its deletion and a new post a second time, in random order."""
    proxy, phones = stage.rig.store_proxy, stage.phones
    assert proxy

    async def come_and_go(user: str, number: int) -> None:
        own = random.Random(user)
        await phones.upload(f"{user}/0", user, stage.camera.pair(rng), own, door=number)
        await asyncio.sleep(own.uniform(0, 1.0))
        await phones.erase(f"{user}/gone", user, own, door=number)
        if number % 2:
            await phones.upload(f"{user}/1", user, stage.camera.pair(rng), own, door=number)

    with proxy.toxic(toxic := Copied(CHANGE)):
        await _all(stage, "r", come_and_go)
        await asyncio.sleep(1.0)
    rng.shuffle(toxic.requests)
    statuses = Counter(status.decode() for status in await toxic.send_again(proxy.target))
    return Outcome(proven(toxic.hits > USERS, f"{toxic.hits} store requests repeated, answered {dict(statuses)}"))


async def node_stopped_deleting(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Stop a node during deletions; another node deletes and accepts new pairs; then the first node goes on."""
    rig = stage.rig
    first, second = rng.sample(rig.record().nodes, 2)
    direct = Phones(rig.session, [first.url, second.url], stage.phones.witness, stage.judged)
    unanswered, began = 0, asyncio.Event()

    async def post(user: str, number: int) -> None:
        await direct.upload(f"{user}/0", user, stage.camera.pair(rng), random.Random(user), door=1)

    async def come_back(user: str, number: int) -> None:
        nonlocal unanswered
        own = random.Random(user)
        began.set()
        ending = await direct.erase(f"{user}/gone", user, own, door=0, answer_s=1.0)
        unanswered += ending == "ok"
        await direct.upload(f"{user}/1", user, stage.camera.pair(rng), own, door=1)

    await _all(stage, "s", post)
    process = psutil.Process(first.pid)

    async def stop() -> None:
        await began.wait()
        await asyncio.sleep(rng.uniform(0.001, 0.006))
        process.send_signal(signal.SIGSTOP)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stop(), name="stop")
            group.create_task(_all(stage, "s", come_back), name="users")
        stood = process.status() == psutil.STATUS_STOPPED
    finally:
        process.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.5)
    return Outcome(proven(stood and unanswered > 0, f"node {first.id} stopped with deletions of {USERS} users in hand"))


async def same_request_id(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Post, delete while the post is rendered, then post other photos with the same X-Request-Id."""
    phones, proxy, camera = stage.phones, stage.rig.store_proxy, await asyncio.to_thread(slow_camera)

    async def repost(user: str, number: int) -> None:
        own = random.Random(user)
        await phones.upload(f"{user}/0", user, camera.pair(rng), own, door=number, label=user)
        await phones.erase(f"{user}/gone", user, own, delay_s=own.uniform(0, 0.4), door=number)
        await phones.upload(f"{user}/1", user, camera.pair(rng), own, door=number, label=user)

    if proxy is None:
        names = await _all(stage, "i", repost, 10)
        return Outcome(f"{len(names)} users posted, deleted and posted again under one request id each")
    ids = (phones.link(f"{stage.name}-i{number}").rpartition("/")[2] for number in range(USERS))
    hold = Hold("up", rf"PUT /[^ ]*/media/[^ ]*({'|'.join(ids)})".encode())
    with proxy.toxic(hold):
        names = await _all(stage, "i", repost)
        held = hold.hits
    return Outcome(proven(held > 0, f"{len(names)} users reposted under one id, one's first render held meanwhile"))


@cache
def slow_camera() -> Camera:
    """A camera whose photos take a tenth of a second to render and a second to make."""
    return Camera(width=SLOW_PX)


async def redis_refuses(stage: Stage, rng: random.Random, *, harmful: bool) -> Outcome:
    """Delete while Redis answers every write with MISCONF, because it cannot write its snapshot."""
    rig, phones = stage.rig, stage.phones

    async def post(user: str, number: int) -> None:
        await phones.upload(f"{user}/0", user, stage.camera.pair(rng), random.Random(user), door=number)
        await stage.until_ready(phones.link(user).rpartition("/")[2], user)

    async def erase(user: str, number: int) -> None:
        await phones.erase(f"{user}/gone", user, random.Random(user), door=number)

    async def again(user: str, number: int) -> None:
        if number % 2:
            await phones.erase(f"{user}/gone-again", user, random.Random(user), door=number)

    await _all(stage, "m", post)
    obstacle = rig.redis_data / "dump.rdb"
    try:
        obstacle.unlink(missing_ok=True)  # left by an earlier round
        obstacle.mkdir()  # no file can be renamed to the name of a folder
        await rig.redis.config_set("save", "3600 100000")
        said = await _saved(stage)
        await _all(stage, "m", erase)
    finally:
        shutil.rmtree(obstacle, ignore_errors=True)
        await _saved(stage)
        await rig.redis.config_set("save", "")
    await _all(stage, "m", again)  # repeat the deletions that were answered 503
    return Outcome(proven("MISCONF" in said, f"redis said to a write: {said[:60]}"))


async def _saved(stage: Stage) -> str:
    """Redis' answer to a write after one more attempt to save."""
    redis = stage.rig.redis
    try:
        await redis.bgsave()
    except ResponseError as error:
        raise Void(f"no BGSAVE: {error}") from None
    except RedisError as error:
        raise Void(f"redis does not answer: {error}") from None
    async with asyncio.timeout(10):
        while (await redis.info("persistence"))["rdb_bgsave_in_progress"]:
            await asyncio.sleep(0.05)
    try:
        await redis.set("attack", 1, px=1)
    except RedisError as error:
        return str(error) if "MISCONF" in str(error) else f"MISCONF? {error}"
    return "OK"
