"""The plan of a stack: each program with its command line, environment and place in the drain order.

The plan follows from options and ports; this file starts nothing.
"""

import hashlib
import string
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from . import prometheus_server, servers
from .ports import HOST, Ports
from .redis_group import Member, address, group
from .state import handover
from .supervisor import Program

NODE_IDS: Final = string.ascii_lowercase
BUCKET: Final = "snapsurge"
# Workers give way to the upload path: a delayed render only delays a picture, a delayed answer makes a phone give up.
WORKER_NICE: Final = 5
PORT_MAX: Final = 65535
# A post with its pictures is read at one node, whoever reads: a service that reads for many users has one token.
# Uploads stay at their user's node, and so does what phones ask at a burst (the moment).
READS_HASH: Final = "path:/v1/posts/*"


class Drains(IntEnum):
    """The places in the drain order; the lowest stops first."""

    BALANCER = 0
    NODE = 1
    # Store and Redis stop after these, because all other programs write to them while they drain.
    AUTOSCALER = 2
    STORE = 3
    REDIS = 4
    PROMETHEUS = 5  # last, so that it sees the drain


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The stack options of the command line; `store` is `file`, `minio` or an address, port 0 means any free ports.

    More than one of `minio_members` is a MinIO of so many processes with a drive each: one erasure set. With more than
    one of `redis_shards`, so many Redis have the posts in place of the first one.
    """

    store: str = "file"
    minio_members: Annotated[int, Meta(ge=1, le=16)] = 1
    redis: str | None = None
    redis_sentinel: bool = False
    redis_shards: Annotated[int, Meta(ge=1, le=16)] = 1
    nodes: Annotated[int, Meta(ge=1, le=len(NODE_IDS))] = 3
    balancers: Annotated[int, Meta(ge=1, le=16)] = 2
    port: Annotated[int, Meta(ge=0, le=PORT_MAX)] = 8080
    prometheus: bool = False
    workers_min: Annotated[int, Meta(ge=0, le=1024)] | None = None
    workers_max: Annotated[int, Meta(ge=1, le=1024)] | None = None
    log: Literal["json", "text"] = "json"


class StoreServer(msgspec.Struct, frozen=True):
    """A MinIO of this stack: its program, and the URL that answers 200 when it is ready."""

    program: Program
    health: str


class Shard(msgspec.Struct, frozen=True):
    """A Redis of this stack that has a part of the posts: its address, its data, its program."""

    url: str
    folder: Path
    program: Program


class NodePlan(msgspec.Struct, frozen=True):
    """A node, the address that it listens on, and its program."""

    id: str
    url: str
    program: Program


class BalancerPlan(msgspec.Struct, frozen=True):
    """A balancer, its addresses for clients and for administration, and its program."""

    url: str
    admin: str
    program: Program


class AutoscalerPlan(msgspec.Struct, frozen=True):
    """The autoscaler, the address of its `/metrics` and `/v1/targets`, and its program."""

    url: str
    program: Program


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A stack ready to start; `redis_server` is None, `store_servers` is empty when it uses existing servers.

    `redis_group`, in place of `redis_server`, are the servers of a Redis with Sentinels.
    """

    redis: str
    store: str
    secret: str
    redis_server: Program | None
    redis_group: tuple[tuple[Member, Program], ...] = ()
    shards: tuple[Shard, ...] = ()
    store_servers: tuple[StoreServer, ...]
    nodes: tuple[NodePlan, ...]
    autoscaler: AutoscalerPlan
    balancers: tuple[BalancerPlan, ...]
    prometheus: prometheus_server.PrometheusPlan | None = None


class Surroundings(msgspec.Struct, frozen=True):
    """The state directory, the project's root, the environment that programs inherit, and the token secret."""

    state: Path
    root: Path
    environment: Mapping[str, str]
    secret: str

    def program(
        self, name: str, command: tuple[str, ...], drains: Drains, extra: Mapping[str, str], nice: int = 0
    ) -> Program:
        """A program of this stack; its output goes to `logs/<name>.log`."""
        return Program(
            name=name,
            command=command,
            environment={**self.environment, **extra},
            folder=self.root,
            log=self.state / "logs" / f"{name}.log",
            drains=drains,
            nice=nice,
        )


def plan(options: Options, ports: Ports, around: Surroundings) -> Plan:
    """The plan for these options; ports.PortTaken, servers.ServerMissing, ValueError for contradictory options."""
    _check(options)
    listens = [ports.fixed(options.port + n) if options.port else ports.free() for n in range(options.balancers)]
    redis, redis_server, members = _redis(options, ports, around)
    shards = _shards(options, ports, around)
    store, store_servers = _store(options, ports, around)
    shared = {"SNAPSURGE_STORE_URL": store, "SNAPSURGE_REDIS_URL": redis, "SNAPSURGE_AUTH_SECRET": around.secret}
    # The last lines of a process that is killed are in its log, too.
    shared["PYTHONUNBUFFERED"] = "1"
    if shards:
        shared["SNAPSURGE_SHARD_URLS"] = ",".join(shard.url for shard in shards)
    if store_servers:
        shared |= servers.minio_environment()
    autoscaler = _autoscaler(options, ports, around, shared)
    return Plan(
        redis=redis,
        store=store,
        secret=around.secret,
        redis_server=redis_server,
        redis_group=members,
        shards=shards,
        store_servers=store_servers,
        nodes=tuple(_node(name, ports.free(), options.log, around, shared) for name in NODE_IDS[: options.nodes]),
        autoscaler=autoscaler,
        balancers=tuple(
            _balancer(n, port, ports.free(), options.log, around, shared) for n, port in enumerate(listens, 1)
        ),
        prometheus=_prometheus(ports.free(), autoscaler.url, around) if options.prometheus else None,
    )


def _check(options: Options) -> None:
    least, most = options.workers_min, options.workers_max
    if least is not None and most is not None and most < least:
        raise ValueError("--workers-max is below --workers-min")
    if options.redis and options.redis_sentinel:
        raise ValueError("--redis names a Redis that runs already, --redis-sentinel starts one: give one of them")
    if options.port + options.balancers > PORT_MAX + 1:
        raise ValueError(f"--port {options.port} leaves no room for {options.balancers} balancers")
    if options.store not in {"file", "minio"} and not options.store.startswith(("file:///", "s3://")):
        raise ValueError(f"--store {options.store}: use file, minio, file:///path or s3://bucket?endpoint=…")
    if options.minio_members > 1 and options.store != "minio":
        raise ValueError(f"--minio-members is for --store minio, not for --store {options.store}")


def _redis(
    options: Options, ports: Ports, around: Surroundings
) -> tuple[str, Program | None, tuple[tuple[Member, Program], ...]]:
    """The address of Redis, and the server or the servers of our own."""
    if options.redis:
        return options.redis, None, ()
    folder = around.state / "redis"
    if options.redis_sentinel:
        members = group(ports.free, folder)
        programs = [around.program(one.name, one.command, Drains.REDIS, {}) for one in members]
        return address(members), None, tuple(zip(members, programs, strict=True))
    port = ports.free()
    command = tuple(servers.redis_command(port, folder))
    return f"redis://{HOST}:{port}/0", around.program("redis", command, Drains.REDIS, {}), ()


def _shards(options: Options, ports: Ports, around: Surroundings) -> tuple[Shard, ...]:
    """The Redis that share index, counts, limits and queue; none where the first one has them."""
    found = []
    # One shard would be the first Redis by another name.
    for number in range(1, options.redis_shards + 1 if options.redis_shards > 1 else 1):
        name, port = f"redis-shard-{number}", ports.free()
        folder = around.state / name
        program = around.program(name, tuple(servers.redis_command(port, folder)), Drains.REDIS, {})
        found.append(Shard(f"redis://{HOST}:{port}/0", folder, program))
    return tuple(found)


def _store(options: Options, ports: Ports, around: Surroundings) -> tuple[str, tuple[StoreServer, ...]]:
    """The store's address, and our own MinIO if it is one."""
    if options.store == "file":
        return (around.state / "store").as_uri(), ()
    if options.store != "minio":
        return options.store, ()
    folder, count = around.state / "minio", options.minio_members
    members = [f"{HOST}:{ports.free()}" for _ in range(count)]
    found = []
    for number, own in enumerate(members, 1):
        if count == 1:
            name, environment = "minio", servers.minio_environment()
            command = servers.minio_command(int(own.rpartition(":")[2]), ports.free(), folder)
        else:
            name, environment = f"minio-{number}", servers.minio_member_environment(own)
            command = servers.minio_member_command(own, members, folder)
        program = around.program(name, tuple(command), Drains.STORE, environment)
        found.append(StoreServer(program, f"http://{own}/minio/health/{'cluster' if count > 1 else 'ready'}"))
    endpoints = ",".join(f"http://{own}" for own in members)
    return f"s3://{BUCKET}?endpoint={endpoints}&region=us-east-1", tuple(found)


def _node(name: str, port: int, log: str, around: Surroundings, shared: Mapping[str, str]) -> NodePlan:
    command = (sys.executable, "-m", "ingest", "--listen", f"{HOST}:{port}", "--id", name, "--log", log)
    # So that pictures can be looked at in a browser without another setting; empty, where it is set so, stays empty.
    link_secret = around.environment.get("SNAPSURGE_INGEST_LINK_SECRET", _derived(around.secret, b"snapsurge-link"))
    extra = {**shared, "SNAPSURGE_INGEST_LINK_SECRET": link_secret}
    return NodePlan(name, f"http://{HOST}:{port}", around.program(f"node-{name}", command, Drains.NODE, extra))


def _derived(secret: str, purpose: bytes) -> str:
    """Another secret, made from the token secret: the same for all programs and their successors, no setting needed."""
    return hashlib.blake2b(secret.encode(), person=purpose).hexdigest()


def _autoscaler(options: Options, ports: Ports, around: Surroundings, shared: Mapping[str, str]) -> AutoscalerPlan:
    """The autoscaler; its workers expose their metrics on any free ports, which `/v1/targets` tells."""
    own, workers = "SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN", "SNAPSURGE_PROCESSORS_LISTEN"
    listen = around.environment.get(own) or f"{HOST}:{ports.free()}"
    extra = {**shared, own: listen, workers: around.environment.get(workers) or f"{HOST}:0"}
    command = [sys.executable, "-m", "processors", "--log", options.log, "autoscale"]
    for flag, value in (("--workers-min", options.workers_min), ("--workers-max", options.workers_max)):
        command += [] if value is None else [flag, str(value)]
    program = around.program("autoscaler", tuple(command), Drains.AUTOSCALER, extra, WORKER_NICE)
    return AutoscalerPlan(f"http://{listen}", program)


def _prometheus(port: int, autoscaler: str, around: Surroundings) -> prometheus_server.PrometheusPlan:
    folder = around.state / "prometheus"
    file = folder / "prometheus.yml"
    command = tuple(prometheus_server.command(port, file, folder / "data"))
    program = around.program("prometheus", command, Drains.PROMETHEUS, {}, WORKER_NICE)
    return prometheus_server.PrometheusPlan(
        f"http://{HOST}:{port}", file, prometheus_server.configuration(autoscaler), program
    )


def _balancer(
    number: int, port: int, admin: int, log: str, around: Surroundings, shared: Mapping[str, str]
) -> BalancerPlan:
    name = f"lb-{number}"
    where = ("--listen", f"{HOST}:{port}", "--admin", f"{HOST}:{admin}")
    command = (sys.executable, "-m", "lb", *where, "--hash-reads-on", READS_HASH, "--log", log)
    ticket_secret = _derived(around.secret, b"snapsurge-ticket")
    extra = {
        **shared,
        "SNAPSURGE_LB_TICKET_SECRET": around.environment.get("SNAPSURGE_LB_TICKET_SECRET") or ticket_secret,
        "SNAPSURGE_LB_SNAPSHOT": str(around.state / f"{name}.json"),
        "SNAPSURGE_LB_HANDOVER": handover(around.state, name),
        # For `trail`: a hundred lines a second at most, whatever the load.
        "SNAPSURGE_LB_ACCESS_LOG": around.environment.get(
            "SNAPSURGE_LB_ACCESS_LOG", str(around.state / "logs" / f"{name}.access.log")
        ),
    }
    program = msgspec.structs.replace(around.program(name, command, Drains.BALANCER, extra), overlaps=True)
    return BalancerPlan(f"http://{HOST}:{port}", f"http://{HOST}:{admin}", program)
