"""All settings of the balancer, read from the environment into one frozen value.

Names are SNAPSURGE_LB_<NAME>, units last, and SNAPSURGE_REDIS_URL, which all tiers share. A misspelt name is an error,
because a setting that is silently ignored is worse than a refused start. Addresses and nodes are command-line options;
limits and times are settings. Relations between limits are checked here, at start.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from . import redis_address
from .holder_path import HolderPath
from .networks import networks
from .private_paths import PrivatePaths

TIERS = ("LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY")
SHARED = (
    *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS", "SNAPSURGE_QUEUE_URLS"),
    *("SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS"),
)
PREFIX = "SNAPSURGE_LB_"
PUBLIC_SEED = "snapsurge"
HANDOVER_BYTES_MAX = 90  # A process number and a pid are appended; sun_path has 104 bytes on macOS, 108 on Linux.
SECRET_BYTES_MIN = 16  # As many bits as the MACs of tickets and stamps have: 128.
NODE_IDLE_S = 75  # Keep-alive time of aiohttp and nginx: the balancer must close first, or it sends into a closed link.


def _name(field: str) -> str:
    return PREFIX + field.upper()


class ConfigError(ValueError):
    """An invalid setting; the text is one line for the operator."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_name):
    """The settings; the encoded names are those in the environment."""

    redis_url: Annotated[
        str, Meta(description="Redis with the nodes' heartbeats, also by Sentinels; empty = the nodes of `--node` only")
    ] = msgspec.field(name="SNAPSURGE_REDIS_URL", default="")
    snapshot: Annotated[str, Meta(description="file with the last membership from Redis; empty = none")] = ""
    ring_seed: Annotated[
        str, Meta(min_length=1, description="secret key of the ring's hash, the same on all balancers")
    ] = PUBLIC_SEED
    # 8 MiB; sqrt(200 / 2^21) is 1 %, so the largest of 200 shares is within 5 % by five deviations.
    ring_slots: Annotated[int, Meta(ge=1024, le=2**24, description="rows of the ring's table, four bytes each")] = 2**21
    # Mirrokni et al. 2016: a quarter above the mean spills few keys and bounds the queue.
    bound_percent: Annotated[
        int, Meta(ge=101, description="maximum bytes in flight at a node, in percent of its share")
    ] = 125
    # Some twenty pairs of 700 KB: a lower floor would spill keys in an idle system.
    bound_floor_bytes: Annotated[int, Meta(ge=1, description="bytes in flight below which a node never spills")] = (
        16777216
    )
    request_bytes: Annotated[int, Meta(ge=1, description="minimum load in bytes that each request counts for")] = 16384
    zone: Annotated[str, Meta(description="zone of this balancer, for `--policy zone-aware`")] = ""
    retries_max: Annotated[
        int, Meta(ge=0, le=100, description="further nodes tried for a request when one cannot be reached")
    ] = 5
    # Envoy's numbers: a larger budget turns one failing node into load on all others.
    retry_percent: Annotated[
        int, Meta(ge=0, le=100, description="percent of all requests that may be moved to another node")
    ] = 20
    retry_floor: Annotated[int, Meta(ge=0, description="requests in ten seconds that may always be moved")] = 3
    retry_after_s: Annotated[
        int, Meta(ge=1, description="longest Retry-After; each answer has a random one up to it")
    ] = 5
    ticket_secret: Annotated[
        str,
        Meta(description="signs tickets, the same on all balancers; `new,old` accepts both; empty = a random secret"),
    ] = ""
    stamp_secret: Annotated[
        str,
        Meta(
            description="key that signs the balancer's header fields for the nodes; the same as their "
            "SNAPSURGE_INGEST_STAMP_SECRET; of `new,old` the first one signs; empty = unsigned"
        ),
    ] = ""
    tokens_max: Annotated[int, Meta(ge=1, description="decoded token subjects kept (500 bytes each, 1 KB at most)")] = (
        16384
    )
    connections_max: Annotated[
        int, Meta(ge=1, description="client connections, including those in a handshake; over it 503")
    ] = 20000
    head_bytes_max: Annotated[int, Meta(ge=256, description="bytes of a request head; over it 431")] = 16384
    # As in the nodes of this project, whose router works for each slash; other services may take more.
    target_bytes_max: Annotated[int, Meta(ge=1, description="bytes of a request's path and query; over it 414")] = 2048
    head_s: Annotated[int, Meta(ge=1, description="seconds until a request head is complete; over it 408")] = 10
    idle_s: Annotated[int, Meta(ge=1, description="seconds that a client connection may be idle between requests")] = 75
    body_bytes_max: Annotated[int, Meta(ge=1, description="bytes of a request body; over it 413")] = 268435456
    # A phone at 64 kbit/s has twice this rate; 30 s are a train in a tunnel, or a change from one network to another.
    body_rate_bytes_min: Annotated[
        int, Meta(ge=1, description="minimum average bytes a second of a request body; below it 408")
    ] = 4096
    body_grace_s: Annotated[
        int, Meta(ge=1, description="seconds that a body may take in addition to its length at that rate")
    ] = 30
    body_stall_s: Annotated[
        int, Meta(ge=1, description="seconds without a byte of the body that are allowed at any time; over it 408")
    ] = 30
    connect_ms: Annotated[
        int, Meta(ge=1, description="milliseconds to connect to a node; after it the next node is tried")
    ] = 1000
    answer_s: Annotated[int, Meta(ge=1, description="seconds that a node may send nothing; over it 504")] = 60
    answer_head_bytes_max: Annotated[int, Meta(ge=256, description="bytes of a node's answer head; over it 502")] = (
        65536
    )
    client_stall_s: Annotated[
        int, Meta(ge=1, description="seconds that a client may leave its answer unread; over it a reset")
    ] = 60
    write_bytes_max: Annotated[
        int, Meta(ge=4096, description="bytes waiting to be written at which the other side is paused")
    ] = 131072
    linger_s: Annotated[int, Meta(ge=1, description="seconds to read and drop the rest of a refused body")] = 30
    linger_idle_s: Annotated[
        int, Meta(ge=1, description="seconds without a byte after which reading a refused body ends early")
    ] = 5
    linger_bytes_max: Annotated[
        int, Meta(ge=1, description="bytes of a refused body read and dropped; over it a reset")
    ] = 67108864
    pool_idle_s: Annotated[
        int, Meta(ge=1, description="seconds that an idle node connection is kept; nodes keep it for 75")
    ] = 30
    pool_max: Annotated[int, Meta(ge=0, description="idle connections kept for each node")] = 256
    check_ms: Annotated[int, Meta(ge=50, description="milliseconds between checks of a healthy node")] = 2000
    check_fast_ms: Annotated[
        int, Meta(ge=50, description="milliseconds between checks of a node that is not healthy")
    ] = 500
    check_timeout_ms: Annotated[int, Meta(ge=10, description="milliseconds before a check times out")] = 1000
    check_rise: Annotated[int, Meta(ge=1, description="passed checks in a row that make a node healthy again")] = 2
    check_fall: Annotated[int, Meta(ge=1, description="failed checks in a row that make a node dead")] = 2
    # A cold node warms up; longer than a burst's first wave would waste it.
    slow_start_s: Annotated[int, Meta(ge=0, description="seconds until a joining node has its full share")] = 10
    faulty_users: Annotated[
        int, Meta(ge=2, description="users with a 5xx answer in ten seconds that make a node suspect")
    ] = 5
    flap_s: Annotated[
        int, Meta(ge=0, description="seconds that a second ejection lasts; doubled at each further one")
    ] = 2
    flap_s_max: Annotated[int, Meta(ge=0, description="longest time in seconds that a flapping node stays ejected")] = (
        60
    )
    rest_s: Annotated[
        int, Meta(ge=1, description="with `--check off`: seconds until an ejected node is tried again")
    ] = 5
    members_s: Annotated[int, Meta(ge=1, description="seconds between polls of the heartbeats in Redis")] = 1
    # Two heartbeats: a busy node may be late once.
    members_late_ms: Annotated[
        int, Meta(ge=100, description="age of its last heartbeat from which a node counts as silent")
    ] = 2000
    members_gone_s: Annotated[int, Meta(ge=2, description="age of a heartbeat at which its node is removed")] = 10
    redis_timeout_ms: Annotated[int, Meta(ge=10, description="milliseconds before a poll of Redis times out")] = 500
    announce_ms: Annotated[
        int, Meta(ge=0, description="milliseconds before draining in which /readyz fails but requests are accepted")
    ] = 1000
    drain_fresh_ms: Annotated[
        int, Meta(ge=0, description="milliseconds that a new connection may send its first request while draining")
    ] = 1000
    handover: Annotated[
        str,
        Meta(
            description="Unix socket on which the next process inherits the listening sockets; empty = none; "
            "with --processes each process has one, .0, .1, ... appended"
        ),
    ] = ""
    https_port: Annotated[
        int,
        Meta(ge=1, le=65535, description="port in the https URLs that `--redirect-http` sends: the public TLS port"),
    ] = 443
    private_paths: Annotated[
        str, Meta(description="paths that answer 404 to clients, in any spelling; empty = none")
    ] = "/metrics,/aboutz"
    holder_path: Annotated[
        str,
        Meta(
            description="paths that name the node to ask: `*` is a segment that begins with the hash of its id; "
            "empty = none"
        ),
    ] = "/v1/uploads/*"
    trusted_peers: Annotated[
        str, Meta(description="CIDRs of balancers in front, whose Snapsurge-* and X-Forwarded-* count; empty = none")
    ] = ""
    access_log: Annotated[
        str, Meta(description="file for one JSON line for each request, `-` = stderr; empty = none; reopened on SIGHUP")
    ] = ""
    access_lines_s_max: Annotated[
        int, Meta(ge=1, description="access log lines a second; beyond it every n-th request, `weight` n")
    ] = 100
    trace: Annotated[
        str, Meta(description="file for one row for each upload, for `python -m bench record`; empty = none")
    ] = ""
    trace_secret: Annotated[
        str, Meta(description="key of the hash that hides users in the trace; empty = a random one at each start")
    ] = ""
    drain_s: Annotated[int, Meta(ge=0, description="seconds for requests in progress to finish while draining")] = 30

    @property
    def ticket_secrets(self) -> tuple[bytes, ...]:
        """The secret that signs, then the others that are accepted; empty without a secret."""
        return _secrets(self.ticket_secret)

    @property
    def stamp_secrets(self) -> tuple[bytes, ...]:
        """The secret that stamps, then those that nodes may still have; empty without a secret."""
        return _secrets(self.stamp_secret)


def _secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a setting, in its order."""
    return tuple(secret.strip().encode() for secret in text.split(",") if secret.strip())


def load(environment: Mapping[str, str] | None = None) -> Config:
    """Read the settings of an environment (the process's own by default); raises ConfigError."""
    values = os.environ if environment is None else environment  # noqa: TID251 - config.py is where it is read
    mine: dict[str, str] = {}
    known = {field.encode_name for field in msgspec.structs.fields(Config)}
    for name, value in values.items():
        if not name.startswith("SNAPSURGE_"):
            continue
        if name in known:
            mine[name] = value
        elif name not in SHARED and (name.startswith(PREFIX) or name.split("_")[1] not in TIERS):
            raise ConfigError(f"unknown setting {name}; `python -m lb --help` lists them")
    try:
        config = msgspec.convert(mine, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    for problem in contradictions(config):
        raise ConfigError(problem)
    return config


def contradictions(config: Config) -> Iterator[str]:
    """Errors in the relations between settings."""
    if config.body_grace_s < config.body_stall_s:
        yield f"{PREFIX}BODY_GRACE_S must be at least {PREFIX}BODY_STALL_S, or a silence at the start would be cut"
    if config.linger_idle_s > config.linger_s:
        yield f"{PREFIX}LINGER_IDLE_S must not exceed {PREFIX}LINGER_S"
    if config.check_fast_ms > config.check_ms:
        yield f"{PREFIX}CHECK_FAST_MS must not exceed {PREFIX}CHECK_MS"
    yield from _unreadable(config)
    for name, secrets in (("TICKET_SECRET", config.ticket_secrets), ("STAMP_SECRET", config.stamp_secrets)):
        if any(len(secret) < SECRET_BYTES_MIN for secret in secrets):
            yield f"{PREFIX}{name}: each secret must have at least {SECRET_BYTES_MIN} bytes"
    if len(config.handover.encode()) > HANDOVER_BYTES_MAX:
        yield f"{PREFIX}HANDOVER must be at most {HANDOVER_BYTES_MAX} bytes long, the kernel's limit for a socket path"
    if config.pool_idle_s >= NODE_IDLE_S:
        yield f"{PREFIX}POOL_IDLE_S must be under {NODE_IDLE_S}, the time that nodes keep an idle connection"
    if config.members_gone_s <= config.members_s:
        yield f"{PREFIX}MEMBERS_GONE_S must exceed {PREFIX}MEMBERS_S"


def _unreadable(config: Config) -> Iterator[str]:
    """Errors in settings that are lists or addresses."""
    texts: tuple[tuple[str, Callable[[str], object], str], ...] = (
        (f"{PREFIX}TRUSTED_PEERS", networks, config.trusted_peers),
        (f"{PREFIX}PRIVATE_PATHS", PrivatePaths, config.private_paths),
        (f"{PREFIX}HOLDER_PATH", HolderPath, config.holder_path),
        ("SNAPSURGE_REDIS_URL", lambda url: url and redis_address.read(url), config.redis_url),
    )
    for name, read, text in texts:
        try:
            read(text)
        except ValueError as error:
            yield f"{name}: {error}"


def rows() -> list[tuple[str, str, str]]:
    """Name, default and description of every setting, in order."""
    table: list[tuple[str, str, str]] = []
    for field in msgspec.structs.fields(Config):
        described = msgspec.inspect.type_info(field.type)
        extra = getattr(described, "extra_json_schema", None) or {}
        table.append((field.encode_name, str(field.default), str(extra.get("description", ""))))
    return table
