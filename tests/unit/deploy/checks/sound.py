"""A stack that is ready: two of each tier but workers, a Redis, a store; tests change one of these facts."""

import msgspec

from deploy.checks.facts import (
    About,
    Facts,
    Inspection,
    Moment,
    Program,
    Queue,
    Redis,
    Rehearsal,
    Row,
    Scaling,
    Store,
)
from deploy.checks.verdict import Check

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
GIB = 2**30
ROWS = tuple(Row(name, f"10.0.0.{number}:9001", "healthy") for number, name in enumerate("ab", 1))
SHARED = {"SNAPSURGE_STORE_URL": "s3://b", "SNAPSURGE_REDIS_URL": "r:6379/0", "SNAPSURGE_SHARD_URLS": ""}
BALANCER = About(
    program="balancer",
    code={"lb": "1"},
    settings={"SNAPSURGE_LB_IDLE_S": "75", "SNAPSURGE_REDIS_URL": "r:6379/0"},
    secrets={"SNAPSURGE_LB_RING_SEED": ["s"], "SNAPSURGE_LB_TICKET_SECRET": ["t"], "SNAPSURGE_LB_STAMP_SECRET": ["m"]},
    files_max=1000,
    files_needed=1000,
    members={row.id: row.address for row in ROWS},
    homes="h",
)
NODE = About(
    program="node",
    code={"ingest": "1", "storage": "1"},
    settings={**SHARED, "SNAPSURGE_INGEST_PHOTO_BYTES_MAX": "9"},
    secrets={
        "SNAPSURGE_AUTH_SECRET": ["a"],
        "SNAPSURGE_INGEST_LINK_SECRET": ["l"],
        "SNAPSURGE_INGEST_STAMP_SECRET": ["m"],
    },
    files_max=1000,
    files_needed=1000,
)
WORKER = About(
    program="worker",
    code={"processors": "1", "storage": "1"},
    settings={**SHARED, "SNAPSURGE_INGEST_PHOTO_BYTES_MAX": "9"},
    files_max=256,
    files_needed=256,
)
AUTOSCALER = msgspec.structs.replace(WORKER, program="autoscaler")
PROGRAMS = (
    Program(kind="balancer", name="lb-1", about=BALANCER, rows=ROWS),
    Program(kind="balancer", name="lb-2", about=BALANCER, rows=ROWS),
    Program(kind="node", name="a", address=ROWS[0].address, about=NODE),
    Program(kind="node", name="b", address=ROWS[1].address, about=NODE),
    Program(kind="worker", name="worker-0", about=WORKER),
    Program(kind="autoscaler", name="autoscaler", about=AUTOSCALER, sweep_behind_s=0.0),
    Program(kind="autoscaler", name="standby", about=AUTOSCALER),
)
REDIS = Redis(name="r:6379/0", role="master", policy="noeviction", used_bytes=GIB, max_bytes=2 * GIB)
STORE = Store(name="s3://b", raced=True, endpoints={"http://s": "UP"}, free_bytes=10 * GIB, all_bytes=100 * GIB)
SOUND = Facts(
    now_s=NOW_S,
    programs=PROGRAMS,
    inspection=Inspection(
        addresses=SHARED,
        redis=(REDIS,),
        store=STORE,
        queue=Queue(ready=0),
        workers=2,
        scaling=Scaling(desired=2, tiers={"node": 2, "lb": 2}),
        moment=Moment(id="eu-20260101-x", region="eu", fires_at="2026-01-01T00:10:00.000Z", window_s=120),
    ),
    rehearsal=Rehearsal(passed=True, text="15 of 15 trials passed", age_s=3600),
)


def with_program(name: str, /, **changes: object) -> Facts:
    """The sound stack, but one program has other facts."""
    programs = tuple(msgspec.structs.replace(one, **changes) if one.name == name else one for one in PROGRAMS)
    return msgspec.structs.replace(SOUND, programs=programs)


def telling(name: str, **changes: object) -> Facts:
    """The sound stack, but one program tells something else of itself."""
    (about,) = (one.about for one in PROGRAMS if one.name == name)
    return with_program(name, about=msgspec.structs.replace(about, **changes))


def inspected(**changes: object) -> Facts:
    """The sound stack, but something else was found by the inspection."""
    return msgspec.structs.replace(SOUND, inspection=msgspec.structs.replace(SOUND.inspection, **changes))


def of_redis(**changes: object) -> Facts:
    """The sound stack, but its Redis says something else."""
    return inspected(redis=(msgspec.structs.replace(REDIS, **changes),))


def of_store(**changes: object) -> Facts:
    """The sound stack, but its store is otherwise."""
    return inspected(store=msgspec.structs.replace(STORE, **changes))


def blind(error: str = "no answer in time") -> Facts:
    """Nothing could be found out."""
    programs = tuple(Program(kind=one.kind, name=one.name, error=error) for one in PROGRAMS)
    return msgspec.structs.replace(SOUND, programs=programs, inspection=Inspection(error=error))


def says(check: Check, *words: str) -> bool:
    """Whether the check has these words in what it found, and says what to do when something is wrong."""
    return all(word in check.found for word in words) and (bool(check.ok) or bool(check.remedy))
