"""`python -m processors inspect`: looks once at store, Redis, queue and fleet, and prints what it found as JSON.

`python -m deploy check` judges it; nothing is judged here. It runs where the programs run, with their settings, so that
addresses and keys are theirs. Nothing is changed: the bucket or folder of the store is not made, and the objects with
which conditional writes are tested are deleted again. Each part has `PART_S`, and a part that fails says why.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage import suitability
from storage.blobs import BlobMissing, BlobStore, StoreUnavailable, StoreUnsuitable
from storage.decision import Scaling, latest
from storage.files import FileStore
from storage.keys import PROBES_PREFIX, PULSE_KEY, WORKERS_KEY, is_moment_id, moment
from storage.opening import ADDRESS, addresses, blob_store, redis_client, shard_clients
from storage.queue.jobs import Depth
from storage.queue.shards import Shards
from storage.records import Moment
from storage.redis_address import read
from storage.refusals import reason
from storage.s3.inspected import InspectedStore

from .scaling.redis_servers import PERSISTENCE

PART_S: Final = 7.0  # `deploy check` gives up after 14 s, in which this program must begin and end, too.
CLEAN_S: Final = 3.0
REDIS_S: Final = 3.0  # More than programs wait: this one has just begun, perhaps on a busy machine.
T = TypeVar("T")


class RedisFound(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis, or a group of Sentinels; `name` has no credentials. `ahead_ms`: its clock against this machine's."""

    name: str
    error: str = ""
    group: bool = False
    role: str = ""
    replicas: int = 0
    failing: list[str] = []
    appends: bool = False
    policy: str = ""
    used_bytes: int = 0
    max_bytes: int = 0
    machine_bytes: int = 0
    ahead_ms: float = 0.0
    unsure_ms: float = 0.0


class StoreFound(msgspec.Struct, frozen=True, kw_only=True):
    """The store. `error`: it does not answer; `unfit`: what it breaks; `raced`: conditional PUTs had one winner."""

    name: str
    error: str = ""
    unfit: str = ""
    raced: bool = False
    warnings: list[str] = []
    endpoints: dict[str, str] = {}
    free_bytes: int | None = None
    all_bytes: int | None = None
    bounded: bool = True


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found; `errors` by part, for what could not be read. `workers` are those with a pulse.

    `addresses` are those that were looked at, by their settings, without credentials.
    """

    addresses: dict[str, str]
    redis: list[RedisFound]
    store: StoreFound
    queue: Depth | None = None
    workers: int | None = None
    scaling: Scaling | None = None
    moment: Moment | None = None
    errors: dict[str, str] = {}


async def bounded(call: Awaitable[T], errors: dict[str, str], part: str) -> T | None:
    """The result; None, with the reason in `errors`, when the call fails or takes longer than `PART_S`."""
    try:
        async with asyncio.timeout(PART_S):
            return await call
    except TimeoutError:
        errors[part] = f"no answer within {PART_S:.0f} s"
    except BlobMissing:
        errors[part] = "the store has none with this id"
    except ValueError as error:
        errors[part] = f"it cannot be read: {error}"
    except (RedisError, StoreUnavailable, OSError) as error:
        errors[part] = reason(error) if isinstance(error, RedisError) else str(error)
    return None


async def of_redis(name: str, client: Redis, *, group: bool) -> RedisFound:
    """What one Redis says of itself."""
    errors: dict[str, str] = {}

    async def ask() -> tuple[Mapping[str, Any], float, float]:
        info = await client.info()
        looks = []
        for _ in range(3):
            began = time.time()
            seconds, micros = await client.time()
            ended = time.time()
            looks.append(((ended - began) / 2, seconds + micros / 1e6 - (began + ended) / 2))
        unsure_s, ahead_s = min(looks)
        return info, ahead_s * 1000, unsure_s * 1000

    asked = await bounded(ask(), errors, name)
    if asked is None:
        return RedisFound(name=name, error=errors[name], group=group)
    info, ahead_ms, unsure_ms = asked
    return RedisFound(
        name=name,
        group=group,
        role=str(info.get("role", "")),
        replicas=sum(
            info[key].get("state") == "online" for key in info if key.startswith("slave") and key[5:].isdigit()
        ),
        failing=[key for key in PERSISTENCE if info.get(key, "ok") != "ok"],
        appends=bool(info.get("aof_enabled")),
        policy=str(info.get("maxmemory_policy", "")),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        machine_bytes=int(info.get("total_system_memory", 0)),
        ahead_ms=round(ahead_ms, 3),
        unsure_ms=round(unsure_ms, 3),
    )


async def of_store(store: BlobStore, name: str) -> StoreFound:
    """What the store does and tells; it is open."""
    unfit, warnings, endpoints, room, limited = "", list[str](), dict[str, str](), None, True
    if isinstance(store, InspectedStore):
        endpoints, limited = store.endpoints, bool(store.address.endpoints)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CLEAN_S)) as session:
            room = await store.room(session)
    elif isinstance(store, FileStore):
        usage = shutil.disk_usage(store.root)
        room = usage.free, usage.total
    try:
        if isinstance(store, InspectedStore):
            warnings = await store.warnings()
        await suitability.check(store, max(suitability.RACERS, 2 * len(endpoints)), patience_s=0)
    except StoreUnsuitable as error:
        unfit = str(error)
    finally:
        if isinstance(store, FileStore):
            with contextlib.suppress(OSError):
                (store.root / PROBES_PREFIX).rmdir()
    free, total = room or (None, None)
    return StoreFound(
        name=name,
        unfit=unfit,
        raced=not unfit,
        warnings=warnings,
        endpoints=endpoints,
        free_bytes=free,
        all_bytes=total,
        bounded=limited,
    )


async def _workers(redis: Redis) -> int:
    names = await redis.smembers(WORKERS_KEY)  # type: ignore[misc] # redis-py types it for both clients
    pulses = await redis.mget([PULSE_KEY.encode() + name for name in names]) if names else []
    return sum(pulse is not None for pulse in pulses)


async def inspect(config: storage.config.Config, moment_id: str = "") -> Inspection:
    """Look at everything; ValueError for a bad address."""
    config = msgspec.structs.replace(config, redis_timeout_s=max(config.redis_timeout_s, REDIS_S))
    redis = redis_client(config)
    shards = shard_clients(config, redis)
    errors: dict[str, str] = {}
    clients = {id(client): (name, client) for name, client in shards.items()}
    own = addresses(config)["SNAPSURGE_REDIS_URL"]
    urls = [config.redis_url, *ADDRESS.split(config.shard_urls or config.queue_urls)]
    groups = {address.name for address in (read(url.strip()) for url in urls if url.strip()) if address.sentinels}
    clients.setdefault(id(redis), (own, redis))
    try:
        found, (stored, named), queue, workers, scaling = await asyncio.gather(
            asyncio.gather(*(of_redis(name, client, group=name in groups) for name, client in clients.values())),
            _store_and_moment(config, moment_id, errors),
            bounded(Shards(shards).depth(), errors, "queue"),
            bounded(_workers(redis), errors, "workers"),
            bounded(latest(redis), errors, "scaling"),
        )
    finally:
        for client in (redis, *shards.values()):
            await client.aclose()
    return Inspection(
        addresses={name: text for name, text in addresses(config).items() if name.endswith(("_URL", "_URLS"))},
        redis=[*found],
        store=stored,
        queue=queue,
        workers=workers,
        scaling=scaling,
        moment=named,
        errors=errors,
    )


async def _moment(store: BlobStore, moment_id: str) -> Moment:
    """The moment as it stands in the store; BlobMissing."""
    if not is_moment_id(moment_id):
        raise BlobMissing(moment_id)
    return msgspec.json.decode(await store.read(moment(moment_id)), type=Moment)


async def _store_and_moment(
    config: storage.config.Config, moment_id: str, errors: dict[str, str]
) -> tuple[StoreFound, Moment | None]:
    """The store, and the moment if one is named."""
    store, named = blob_store(config, s3=InspectedStore), None
    async with contextlib.AsyncExitStack() as opened:

        async def look() -> StoreFound:
            if isinstance(store, FileStore) and not store.root.is_dir():
                raise StoreUnavailable(f"there is no folder {store.root} on this machine")
            await opened.enter_async_context(store)
            return await of_store(store, config.store_url)

        found = await bounded(look(), errors, "store")
        if moment_id and found:
            named = await bounded(_moment(store, moment_id), errors, "moment")
    return found or StoreFound(name=config.store_url, error=errors["store"]), named


async def run(config: storage.config.Config, moment_id: str) -> int:
    """Look, print one JSON object, and return 0."""
    print(msgspec.json.encode(await inspect(config, moment_id)).decode())
    return 0
