"""All settings of the balancer: the one place that reads the environment, into one frozen value.

Names are SNAPSURGE_LB_<NAME>, units last, plus SNAPSURGE_REDIS_URL shared with the other tiers. A misspelt name is an
error, for a setting silently ignored is worse than none. Command-line options say what to listen on and which nodes
there are; limits and times are settings. The arithmetic between limits is checked here, once, at start.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from .peers import networks
from .private import PrivatePaths

TIERS = ("LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY")
SHARED = (
    *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_QUEUE_URLS"),
    *("SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS"),
)
PREFIX = "SNAPSURGE_LB_"
HANDOVER_BYTES_MAX = 92  # A pid is added for a moment; sun_path has 104 bytes on macOS, 108 on Linux.
TICKET_SECRET_BYTES_MIN = 16  # what the MAC's 128 bits are worth
NODE_IDLE_S = 75  # aiohttp's own keep-alive time, nginx's too: ours must be the side that closes first.


def _name(field: str) -> str:
    return PREFIX + field.upper()


class ConfigError(ValueError):
    """A setting that cannot be; the text is for the operator, one line."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_name):
    """The settings; encoded names are the names in the environment."""

    redis_url: Annotated[str, Meta(description="Redis that holds the nodes' heartbeats; empty = only `--node`")] = (
        msgspec.field(name="SNAPSURGE_REDIS_URL", default="")
    )
    snapshot: Annotated[str, Meta(description="file that keeps the last membership read from Redis; empty = none")] = ""
    ring_seed: Annotated[str, Meta(description="secret key of the placement hash, the same on all balancers")] = (
        "snapsurge"
    )
    # 8 MiB; sqrt(200 / 2^21) is 1 %, so the largest of 200 shares is within 5 % by five deviations.
    ring_slots: Annotated[int, Meta(ge=1024, le=2**24, description="slots of the placement table, four bytes each")] = (
        2**21
    )
    # Mirrokni et al.: a quarter above the mean spills few keys and bounds the queue.
    bound_percent: Annotated[
        int, Meta(ge=101, description="bound on a node's bytes in flight, in percent of its share")
    ] = 125
    # Some twenty pairs of 700 KB: less would spill in an idle system and cost affinity for nothing.
    bound_floor_bytes: Annotated[
        int, Meta(ge=1, description="bytes in flight below which a node is never over its bound")
    ] = 16777216
    request_bytes: Annotated[int, Meta(ge=1, description="minimum bytes in flight that one request counts as")] = 16384
    zone: Annotated[str, Meta(description="zone of this balancer, for `--policy zone-aware`")] = ""
    retries_max: Annotated[
        int, Meta(ge=0, le=100, description="further nodes tried for a request when a node cannot be reached")
    ] = 5
    # Envoy's numbers: more turns one failing node into load on all.
    retry_percent: Annotated[
        int, Meta(ge=0, le=100, description="retry budget: percent of all requests that may move to another node")
    ] = 20
    retry_floor: Annotated[
        int, Meta(ge=0, description="retry budget: requests per ten seconds that may always move")
    ] = 3
    retry_after_s: Annotated[int, Meta(ge=1, description="maximum of the random `Retry-After`, in seconds")] = 5
    ticket_secret: Annotated[
        str,
        Meta(
            description="signs tickets, the same on all balancers; `new,old`: `new` signs, both valid; empty = random"
        ),
    ] = ""
    tokens_max: Annotated[
        int, Meta(ge=1, description="tokens whose decoded subject is cached (500 bytes each, 1 KB at most)")
    ] = 16384
    connections_max: Annotated[
        int, Meta(ge=1, description="client connections, unfinished TLS handshakes included; above it 503")
    ] = 20000
    head_bytes_max: Annotated[int, Meta(ge=256, description="bytes of a request head; above it 431")] = 16384
    head_s: Annotated[int, Meta(ge=1, description="seconds for a request head to arrive; after them 408")] = 10
    idle_s: Annotated[int, Meta(ge=1, description="seconds that a client connection may be idle between requests")] = 75
    body_bytes_max: Annotated[int, Meta(ge=1, description="bytes of a request body; above it 413")] = 268435456
    body_rate_bytes_min: Annotated[
        int, Meta(ge=1, description="minimum rate of a request body, in bytes per second")
    ] = 1000
    body_grace_s: Annotated[
        int, Meta(ge=1, description="seconds that a body may stall at its start before it is below that rate")
    ] = 10
    body_stall_s: Annotated[int, Meta(ge=1, description="maximum seconds that a body that was faster may stall")] = 30
    connect_ms: Annotated[
        int, Meta(ge=1, description="milliseconds to connect to a node before the next node is tried")
    ] = 1000
    answer_s: Annotated[int, Meta(ge=1, description="seconds without a byte of a node's answer before 504")] = 60
    answer_head_bytes_max: Annotated[int, Meta(ge=256, description="bytes of a node's response head; above it 502")] = (
        65536
    )
    client_stall_s: Annotated[int, Meta(ge=1, description="seconds that a client may read nothing of its answer")] = 60
    write_bytes_max: Annotated[
        int, Meta(ge=4096, description="bytes in a write buffer above which reading from the other side pauses")
    ] = 131072
    linger_s: Annotated[int, Meta(ge=1, description="maximum seconds of discarding the rest of a refused body")] = 30
    linger_idle_s: Annotated[
        int, Meta(ge=1, description="seconds without a byte after which discarding ends early")
    ] = 5
    linger_bytes_max: Annotated[int, Meta(ge=1, description="maximum bytes of a refused body that are discarded")] = (
        67108864
    )
    pool_idle_s: Annotated[
        int, Meta(ge=1, description="seconds that an idle connection to a node is kept; nodes keep it for 75")
    ] = 30
    pool_max: Annotated[int, Meta(ge=0, description="idle connections kept for each node")] = 256
    check_ms: Annotated[int, Meta(ge=50, description="milliseconds between health checks of a healthy node")] = 2000
    check_fast_ms: Annotated[int, Meta(ge=50, description="milliseconds between health checks of any other node")] = 500
    check_timeout_ms: Annotated[int, Meta(ge=10, description="milliseconds before a health check times out")] = 1000
    check_rise: Annotated[
        int, Meta(ge=1, description="consecutive passed checks after which a node is healthy again")
    ] = 2
    check_fall: Annotated[int, Meta(ge=1, description="consecutive failed checks after which a node is dead")] = 2
    # A node that came back cold warms up; longer than a burst's first wave would waste it.
    slow_start_s: Annotated[int, Meta(ge=0, description="seconds in which a joining node reaches its full share")] = 10
    faulty_users: Annotated[
        int, Meta(ge=2, description="users with a 5xx within ten seconds that make a node suspect")
    ] = 5
    flap_s: Annotated[
        int, Meta(ge=0, description="seconds of a node's second ejection; doubled at each further one")
    ] = 2
    flap_s_max: Annotated[int, Meta(ge=0, description="maximum seconds of an ejection")] = 60
    rest_s: Annotated[
        int, Meta(ge=1, description="with `--check off`: seconds before an ejected node is tried again")
    ] = 5
    members_s: Annotated[int, Meta(ge=1, description="seconds between reads of the heartbeats in Redis")] = 1
    # Two beats of a node that beats each second; a busy node may be late once.
    members_late_ms: Annotated[
        int, Meta(ge=100, description="age in milliseconds at which a heartbeat counts as missed")
    ] = 2000
    members_gone_s: Annotated[
        int, Meta(ge=2, description="seconds without a heartbeat after which a node is removed")
    ] = 10
    redis_timeout_ms: Annotated[int, Meta(ge=10, description="milliseconds before a Redis call times out")] = 500
    announce_ms: Annotated[
        int, Meta(ge=0, description="milliseconds of a drain in which `/readyz` fails and connections are accepted")
    ] = 1000
    drain_fresh_ms: Annotated[
        int, Meta(ge=0, description="milliseconds of a drain in which a new connection may send its first request")
    ] = 1000
    handover: Annotated[
        str, Meta(description="Unix socket that hands the listening sockets to the next process; empty = none")
    ] = ""
    private_paths: Annotated[
        str, Meta(description="paths of the nodes that clients get 404 for, in any spelling; empty = none")
    ] = "/metrics"
    trusted_peers: Annotated[
        str,
        Meta(description="CIDRs of proxies in front, whose Snapsurge-* and X-Forwarded-* are believed; empty = none"),
    ] = ""
    access_log: Annotated[
        str,
        Meta(description="access log, one JSON line per request; `-` = stderr; empty = none; reopened on SIGHUP"),
    ] = ""
    access_lines_s_max: Annotated[
        int,
        Meta(ge=1, description="access log lines per second; above it every n-th request is logged, with `weight` n"),
    ] = 100
    trace: Annotated[
        str, Meta(description="file of the trace, one row per upload, for `python -m bench record`; empty = none")
    ] = ""
    trace_secret: Annotated[
        str, Meta(description="key of the hash that replaces user ids in the trace; empty = a random key at each start")
    ] = ""
    drain_s: Annotated[int, Meta(ge=0, description="seconds for requests in flight to finish during a drain")] = 30

    @property
    def ticket_secrets(self) -> tuple[bytes, ...]:
        """The one that signs, then the others that are accepted; none without a secret."""
        return tuple(secret.strip().encode() for secret in self.ticket_secret.split(",") if secret.strip())


def load(environment: Mapping[str, str] | None = None) -> Config:
    """The settings of an environment (the process's own by default); raises ConfigError."""
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
    """What two settings together make impossible."""
    if config.redis_url and not config.redis_url.startswith(("redis://", "rediss://", "unix://")):
        yield "SNAPSURGE_REDIS_URL must start with redis://, rediss:// or unix://"
    if config.body_stall_s < config.body_grace_s:
        yield f"{PREFIX}BODY_STALL_S must be at least {PREFIX}BODY_GRACE_S"
    if config.linger_idle_s > config.linger_s:
        yield f"{PREFIX}LINGER_IDLE_S must not exceed {PREFIX}LINGER_S"
    if config.check_fast_ms > config.check_ms:
        yield f"{PREFIX}CHECK_FAST_MS must not exceed {PREFIX}CHECK_MS"
    yield from _unreadable(config)
    if any(len(secret) < TICKET_SECRET_BYTES_MIN for secret in config.ticket_secrets):
        yield f"{PREFIX}TICKET_SECRET: each secret must have at least {TICKET_SECRET_BYTES_MIN} bytes"
    if len(config.handover.encode()) > HANDOVER_BYTES_MAX:
        yield f"{PREFIX}HANDOVER must be at most {HANDOVER_BYTES_MAX} bytes long, as the kernel wants it"
    if config.pool_idle_s >= NODE_IDLE_S:
        yield f"{PREFIX}POOL_IDLE_S must be under {NODE_IDLE_S}, the time that nodes keep an idle connection"
    if config.members_gone_s <= config.members_s:
        yield f"{PREFIX}MEMBERS_GONE_S must exceed {PREFIX}MEMBERS_S"


def _unreadable(config: Config) -> Iterator[str]:
    """What is a list, and cannot be read as one."""
    lists = (("TRUSTED_PEERS", networks, config.trusted_peers), ("PRIVATE_PATHS", PrivatePaths, config.private_paths))
    for name, read, text in lists:
        try:
            read(text)
        except ValueError as error:
            yield f"{PREFIX}{name}: {error}"


def rows() -> list[tuple[str, str, str]]:
    """Name, default and description of every setting, in order."""
    table: list[tuple[str, str, str]] = []
    for field in msgspec.structs.fields(Config):
        described = msgspec.inspect.type_info(field.type)
        extra = getattr(described, "extra_json_schema", None) or {}
        table.append((field.encode_name, str(field.default), str(extra.get("description", ""))))
    return table
