"""The settings of an upload node, from the environment; each limit has its unit and its reason."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta

from storage import settings
from storage.photo import formats

from .cors import origins

KIB, MIB = 1024, 1024 * 1024
# RFC 7518, section 3.2: an HS256 key has at least the length of the hash, 256 bits.
SECRET_CHARS_MIN = 32
STAMP_SECRET_BYTES_MIN = 16  # As many bits as a stamp's MAC has: 128; the balancers have the same limit.
# Part of every public secret, such as the default ones of `python -m deploy` and bench.
DEVELOPMENT_MARK = "not-for-production"


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_INGEST_{name.upper()}"):
    """Limits, trusted peers and timeouts of an upload node."""

    auth_secret: Annotated[str, Meta(min_length=SECRET_CHARS_MIN, description="HS256 secret that verifies tokens")] = (
        msgspec.field(name="SNAPSURGE_AUTH_SECRET")
    )
    auth_secret_previous: Annotated[
        str,
        Meta(description="previous HS256 secret, still accepted while a new one is rolled out; empty = none"),
    ] = msgspec.field(name="SNAPSURGE_AUTH_SECRET_PREVIOUS", default="")
    trusted_peers: Annotated[
        str,
        Meta(
            description="CIDRs of balancers whose Snapsurge-Received-At, X-Forwarded-* and X-Request-Id are believed "
            "without a stamp; empty = none"
        ),
    ] = "127.0.0.0/8,::1/128"
    stamp_secret: Annotated[
        str,
        Meta(
            description="key that verifies the balancers' stamp on Snapsurge-* fields, from any network; the same as "
            "their SNAPSURGE_LB_STAMP_SECRET; `new,old` accepts both; empty = trust SNAPSURGE_INGEST_TRUSTED_PEERS only"
        ),
    ] = ""

    # An app that shows a page of posts for half an hour needs no new links; a deleted picture leaves every cache in an
    # hour. The least is for tests; a week is the most that S3 signs for.
    link_secret: Annotated[
        str,
        Meta(
            description="signs links to pictures, which then need no token; the same on all nodes; `new,old` accepts "
            "both; empty = links need a token"
        ),
    ] = ""
    link_s: Annotated[
        int,
        Meta(
            ge=10,
            le=7 * 24 * 3600,
            description="longest life of a signed link in seconds, at least half of which is left when it is given; "
            "caches may show a deleted picture as long",
        ),
    ] = 3600
    cors_origins: Annotated[
        str, Meta(description="origins whose web pages may call the node, as `https://app.example,…`; empty = none")
    ] = ""

    photo_bytes_max: Annotated[int, Meta(ge=1, description="bytes of one photo; workers read it too")] = (
        formats.BYTES_MAX
    )
    meta_bytes_max: Annotated[int, Meta(ge=2, le=4 * KIB, description="bytes of the `meta` part")] = 4 * KIB
    # Larger values are capped by what a worker can decode: storage's `formats.py`.
    decode_bytes_max: formats.DecodeBytes = msgspec.field(
        name=formats.DECODE_BYTES_SETTING, default=formats.DECODE_BYTES_MAX
    )
    photo_pixels_max: Annotated[int, Meta(ge=1, description="pixels of one photo")] = formats.PIXELS_MAX
    photo_side_px_min: Annotated[int, Meta(ge=1, description="shortest side of a photo")] = formats.SIDE_PX_MIN
    photo_side_px_max: Annotated[int, Meta(ge=1, description="longest side of a photo")] = formats.SIDE_PX_MAX

    # Bodies are in memory until the PUT returns; `memory.py` computes the default.
    in_flight_bytes_max: Annotated[
        int,
        Meta(ge=0, description="bytes of uploads in flight in this node; 0 = by its cgroup's memory limit or the RAM"),
    ] = 0
    # Each has 64 KiB of connection state: 256 MiB in all.
    in_flight_requests_max: Annotated[int, Meta(ge=1, description="uploads in flight in this node")] = 4096
    # What arrived of an upload whose connection broke waits in memory for its phone. 120 s are a tunnel and a change of
    # networks; ten minutes are the life of a ticket.
    parked_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            description="bytes of uploads that wait for clients whose connections broke; they are the first to go when "
            "room is needed; 0 = a quarter of the bytes in flight",
        ),
    ] = 0
    resume_idle_s: Annotated[
        float, Meta(gt=0, description="seconds that a parked upload is kept after its last byte")
    ] = 120.0
    resume_age_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="seconds after its beginning in which an upload that was resumed must be complete",
        ),
    ] = 600.0
    # A rendition has at most 0.3 MB; a node that needs more reads at once should share its load with more nodes.
    reads_max: Annotated[int, Meta(ge=1, description="posts and photos that this node serves at the same time")] = 256
    # Longer than a brief outage of the store, shorter than the balancer's timeout for a silent node.
    commit_wait_s: Annotated[
        float, Meta(gt=0, description="maximum seconds that a received pair waits for its PUT")
    ] = 20.0
    # A pair and its retries; a client that sends more in a minute is broken.
    user_uploads_burst: Annotated[int, Meta(ge=1, description="uploads that one user may start at once")] = 10
    user_uploads_period_s: Annotated[int, Meta(ge=1, description="seconds in which that burst is available again")] = 60

    # The balancer's rule (`body/pace.py`): 4 KiB/s is half of a phone's 64 kbit/s, its 30 s are a train in a tunnel.
    # 15 s more, because bytes may wait 5 s in the balancer's kernel, it looks at its bodies once a second, and it
    # charges no time while it connects to a node.
    body_rate_min_bytes_s: Annotated[
        int, Meta(ge=1, description="minimum average rate of a request body, in bytes per second")
    ] = 4 * KIB
    body_grace_s: Annotated[
        float, Meta(gt=0, description="seconds that a body may take in addition to its length at that rate")
    ] = 45.0
    body_stall_s: Annotated[float, Meta(gt=0, description="seconds without a byte of a body; over it 408")] = 45.0
    # The balancer's idle timeout is shorter, so that it never sends a request on a connection that is being closed.
    keepalive_s: Annotated[float, Meta(gt=0, description="seconds after which an idle connection is closed")] = 75.0

    batch_linger_s: Annotated[
        float,
        Meta(
            ge=0, le=1, description="seconds that a committed upload waits for others, to share one round trip to Redis"
        ),
    ] = 0.002
    weight: Annotated[int, Meta(ge=0, le=100, description="weight of this node in the ring; 0 = no requests")] = 1
    zone: Annotated[str, Meta(description="zone of this node, for balancers with `--policy zone-aware`")] = ""
    heartbeat_s: Annotated[float, Meta(gt=0, description="seconds between two heartbeats to the balancers")] = 1.0
    # Balancers check every 2 s, with jitter up to 2.4 s: 5 s are two missed checks, 15 s are six.
    register_s: Annotated[
        float,
        Meta(
            ge=0,
            description="seconds without a health check from any balancer before the node registers anew; 0 = never",
        ),
    ] = 5.0
    restart_s: Annotated[
        float,
        Meta(
            ge=0,
            description="seconds without a health check from any balancer before the node restarts itself; 0 = never",
        ),
    ] = 15.0
    # Two heartbeats and one roster read of the balancer; after that no new request arrives.
    announce_s: Annotated[
        float,
        Meta(
            ge=0,
            description="seconds after SIGTERM in which the node still serves, until all balancers know that it drains",
        ),
    ] = 2.5
    drain_s: Annotated[float, Meta(gt=0, description="seconds after the announce time for uploads to finish")] = 30.0

    def __post_init__(self) -> None:
        """Check limits that depend on each other."""
        if 0 < self.in_flight_bytes_max < self.body_bytes_max:
            raise ValueError("one upload does not fit SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX")
        if self.body_grace_s < self.body_stall_s:
            raise ValueError("SNAPSURGE_INGEST_BODY_GRACE_S is less than …_STALL_S")
        if self.photo_side_px_min > self.photo_side_px_max:
            raise ValueError("SNAPSURGE_INGEST_PHOTO_SIDE_PX_MIN is greater than …_PX_MAX")
        if 0 < len(self.auth_secret_previous) < SECRET_CHARS_MIN:
            raise ValueError(f"SNAPSURGE_AUTH_SECRET_PREVIOUS is shorter than {SECRET_CHARS_MIN} characters")
        if any(len(secret) < SECRET_CHARS_MIN for secret in self.link_secrets):
            raise ValueError(f"SNAPSURGE_INGEST_LINK_SECRET: each secret must have {SECRET_CHARS_MIN} characters")
        if {self.auth_secret.encode(), self.auth_secret_previous.encode()} & set(self.link_secrets):
            raise ValueError("SNAPSURGE_INGEST_LINK_SECRET must differ from the secret of tokens")
        if any(len(secret) < STAMP_SECRET_BYTES_MIN for secret in self.stamp_secrets):
            raise ValueError(
                f"SNAPSURGE_INGEST_STAMP_SECRET: each secret must have at least {STAMP_SECRET_BYTES_MIN} bytes"
            )
        try:
            origins(self.cors_origins)
        except ValueError as error:
            raise ValueError(f"SNAPSURGE_INGEST_CORS_ORIGINS: {error}") from None

    @property
    def link_secrets(self) -> tuple[bytes, ...]:
        """The secret that signs links, then the others that are accepted; empty without a secret."""
        return _secrets(self.link_secret)

    @property
    def stamp_secrets(self) -> tuple[bytes, ...]:
        """The secrets of which a stamp may be; empty without a secret."""
        return _secrets(self.stamp_secret)

    @property
    def photo_limits(self) -> formats.Limits:
        """The limits on a photo's size; never above what a worker can decode."""
        return formats.Limits(
            pixels_max=self.photo_pixels_max,
            side_px_min=self.photo_side_px_min,
            side_px_max=self.photo_side_px_max,
            decode_bytes_max=self.decode_bytes_max,
        )

    @property
    def body_bytes_max(self) -> int:
        """The maximum length of a body: two photos, `meta`, and the multipart framing."""
        return 2 * self.photo_bytes_max + self.meta_bytes_max + 16 * KIB


def _secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a setting, in its order."""
    return tuple(secret.strip().encode() for secret in text.split(",") if secret.strip())


def check_secrets(config: Config, host: str) -> None:
    """SettingsError if other machines can reach a node whose secret is public, so that anybody could sign."""
    secrets = {
        "SNAPSURGE_AUTH_SECRET": config.auth_secret + config.auth_secret_previous,
        "SNAPSURGE_INGEST_LINK_SECRET": config.link_secret,
        "SNAPSURGE_INGEST_STAMP_SECRET": config.stamp_secret,
    }
    for name, secret in secrets.items():
        if DEVELOPMENT_MARK in secret and not _is_loopback(host):
            raise settings.SettingsError(
                f"{name} is public, for development only: give a secret of your own to listen on {host}"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(environ: Mapping[str, str] = os.environ) -> Config:  # noqa: TID251 - the one place that reads it
    """The settings from this environment; settings.SettingsError names the bad one."""
    return settings.load(Config, "INGEST", environ)
