"""What a stack consists of: each program with its command line, environment and place in the drain.

It decides over options and ports, and starts nothing. The drain goes against the stream of photos, balancers first,
and leaves the store and Redis to the last, because everything else ends by writing to them. Workers give way to the
upload path by their priority: a late picture is a late picture, a late answer is a lost phone.
"""

import hashlib
import string
import sys
import tempfile
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from . import servers
from .ports import HOST, Ports
from .supervisor import Program

NODE_IDS: Final = string.ascii_lowercase
BUCKET: Final = "snapsurge"
WORKER_NICE: Final = 5
PORT_MAX: Final = 65535
SOCKET_PATH_MAX: Final = 90  # The kernel takes 104 bytes or more; the balancer adds its pid while it makes the socket.


class Drains(IntEnum):
    """Places in the drain, the first to go first."""

    BALANCER = 0
    NODE = 1
    AUTOSCALER = 2
    STORE = 3
    REDIS = 4


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a stack; `store` is `file`, `minio` or an address, port 0 means any free ones."""

    store: str = "file"
    redis: str | None = None
    nodes: Annotated[int, Meta(ge=1, le=len(NODE_IDS))] = 3
    balancers: Annotated[int, Meta(ge=1, le=16)] = 2
    port: Annotated[int, Meta(ge=0, le=PORT_MAX)] = 8080
    workers_min: Annotated[int, Meta(ge=0, le=1024)] | None = None
    workers_max: Annotated[int, Meta(ge=1, le=1024)] | None = None


class NodePlan(msgspec.Struct, frozen=True):
    """A node and where it listens."""

    id: str
    url: str
    program: Program


class BalancerPlan(msgspec.Struct, frozen=True):
    """A balancer and where it listens."""

    url: str
    admin: str
    program: Program


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that could be started; `redis_server` and `store_server` only where the stack runs its own."""

    redis: str
    store: str
    secret: str
    redis_server: Program | None
    store_server: Program | None
    store_health: str | None
    nodes: tuple[NodePlan, ...]
    autoscaler: Program
    balancers: tuple[BalancerPlan, ...]


class Surroundings(msgspec.Struct, frozen=True):
    """What a plan is made in: where the state and the sources are, and what children inherit."""

    state: Path
    root: Path
    environment: Mapping[str, str]
    secret: str

    def program(
        self, name: str, command: tuple[str, ...], drains: Drains, extra: Mapping[str, str], nice: int = 0
    ) -> Program:
        """A program of this stack, its output in `logs/<name>.log`."""
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
    """All programs of a stack; ports.PortTaken, servers.ServerMissing, or ValueError for options that contradict."""
    _check(options)
    listens = [ports.fixed(options.port + n) if options.port else ports.free() for n in range(options.balancers)]
    redis, redis_server = _redis(options, ports, around)
    store, store_server, store_health = _store(options, ports, around)
    shared = {"SNAPSURGE_STORE_URL": store, "SNAPSURGE_REDIS_URL": redis, "SNAPSURGE_AUTH_SECRET": around.secret}
    shared["PYTHONUNBUFFERED"] = "1"
    if options.store == "minio":
        shared |= servers.minio_environment()
    return Plan(
        redis=redis,
        store=store,
        secret=around.secret,
        redis_server=redis_server,
        store_server=store_server,
        store_health=store_health,
        nodes=tuple(_node(name, ports.free(), around, shared) for name in NODE_IDS[: options.nodes]),
        autoscaler=_autoscaler(options, around, shared),
        balancers=tuple(_balancer(n, port, ports.free(), around, shared) for n, port in enumerate(listens, 1)),
    )


def _check(options: Options) -> None:
    least, most = options.workers_min, options.workers_max
    if least is not None and most is not None and most < least:
        raise ValueError("--workers-max is below --workers-min")
    if options.port + options.balancers > PORT_MAX + 1:
        raise ValueError(f"--port {options.port} leaves no room for {options.balancers} balancers")
    if options.store not in {"file", "minio"} and not options.store.startswith(("file:///", "s3://")):
        raise ValueError(f"--store {options.store}: use file, minio, file:///path or s3://bucket?endpoint=…")


def _redis(options: Options, ports: Ports, around: Surroundings) -> tuple[str, Program | None]:
    if options.redis:
        return options.redis, None
    port, folder = ports.free(), around.state / "redis"
    command = tuple(servers.redis_command(port, folder))
    return f"redis://{HOST}:{port}/0", around.program("redis", command, Drains.REDIS, {})


def _store(options: Options, ports: Ports, around: Surroundings) -> tuple[str, Program | None, str | None]:
    """Address of the store, its server where it is ours, and where that one says that it is ready."""
    if options.store == "file":
        return (around.state / "store").as_uri(), None, None
    if options.store != "minio":
        return options.store, None, None
    port, folder = ports.free(), around.state / "minio"
    command = tuple(servers.minio_command(port, ports.free(), folder))
    server = around.program("minio", command, Drains.STORE, servers.minio_environment())
    endpoint = f"http://{HOST}:{port}"
    return f"s3://{BUCKET}?endpoint={endpoint}&region=us-east-1", server, f"{endpoint}/minio/health/ready"


def _node(name: str, port: int, around: Surroundings, shared: Mapping[str, str]) -> NodePlan:
    command = (sys.executable, "-m", "ingest", "--listen", f"{HOST}:{port}", "--id", name)
    return NodePlan(name, f"http://{HOST}:{port}", around.program(f"node-{name}", command, Drains.NODE, shared))


def _autoscaler(options: Options, around: Surroundings, shared: Mapping[str, str]) -> Program:
    command = [sys.executable, "-m", "processors", "autoscale"]
    for flag, value in (("--workers-min", options.workers_min), ("--workers-max", options.workers_max)):
        command += [] if value is None else [flag, str(value)]
    return around.program("autoscaler", tuple(command), Drains.AUTOSCALER, shared, WORKER_NICE)


def handover(state: Path, name: str) -> str:
    """Where a balancer gives its sockets to its next life; in the temporary folder if the state's path is too long."""
    path = state / f"{name}.sock"
    if len(bytes(path)) > SOCKET_PATH_MAX:
        digest = hashlib.blake2b(bytes(path), digest_size=8).hexdigest()
        path = Path(tempfile.gettempdir()) / f"snapsurge-{digest}.sock"
    return str(path)


def _balancer(number: int, port: int, admin: int, around: Surroundings, shared: Mapping[str, str]) -> BalancerPlan:
    name = f"lb-{number}"
    command = (sys.executable, "-m", "lb", "--listen", f"{HOST}:{port}", "--admin", f"{HOST}:{admin}")
    # Drawn from the secret that is there anyway, so that all balancers and their next lives share it unasked.
    ticket_secret = hashlib.blake2b(around.secret.encode(), person=b"snapsurge-ticket").hexdigest()
    extra = {
        **shared,
        "SNAPSURGE_LB_TICKET_SECRET": around.environment.get("SNAPSURGE_LB_TICKET_SECRET") or ticket_secret,
        "SNAPSURGE_LB_SNAPSHOT": str(around.state / f"{name}.json"),
        "SNAPSURGE_LB_HANDOVER": handover(around.state, name),
    }
    program = msgspec.structs.replace(around.program(name, command, Drains.BALANCER, extra), overlaps=True)
    return BalancerPlan(f"http://{HOST}:{port}", f"http://{HOST}:{admin}", program)
