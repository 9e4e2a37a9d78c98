"""What a balancer tells of itself on its admin port (`/aboutz`): the common part, its members, and the homes of keys.

Balancers that agree have the same digest of the homes of `KEYS_COUNT` keys. A difference in seed, table size, members
or weights changes it. It is computed in a thread, once for each ring.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from msgspec.json import encode

from ..about import SECRET_BYTES_MIN, About, code_of, files_max, fingerprints, now_ms, settings_text
from ..config import PREFIX, PUBLIC_SEED, Config
from ..placement.fleet import Fleet
from ..redis_address import read
from ..relay.context import Context

KEYS_COUNT: Final = 10_000
# Settings that may differ from balancer to balancer, and those that are told in another form.
OWN: Final = ("zone", "snapshot", "handover", "access_log", "trace", "announce_ms")
HIDDEN: Final = ("redis_url", "ring_seed", "ticket_secret", "stamp_secret", "trace_secret")
FILES_SPARE: Final = 256  # Listening sockets, checks, Redis, logs, Python's own.


class BalancerAbout(About, frozen=True, kw_only=True):
    """A balancer. `members` are addresses by node; its certificate is valid between two unix times, None: no TLS."""

    members: dict[str, str]
    homes: str
    certificate_begins_s: float | None
    certificate_ends_s: float | None


def homes_of(fleet: Fleet) -> str:
    """A digest of the homes of `KEYS_COUNT` keys."""
    found = hashlib.sha256()
    for number in range(KEYS_COUNT):
        found.update(fleet.home(b"key-%d" % number).encode() + b"\0")
    return found.hexdigest()[:16]


def files_needed(config: Config) -> int:
    """Two for each client, because an upload has a connection to its node too; and what is kept idle."""
    return 2 * config.connections_max + config.pool_max + FILES_SPARE


def weak(config: Config) -> list[str]:
    """The secrets that everybody knows or can guess."""
    seed = config.ring_seed
    return [f"{PREFIX}RING_SEED"] if seed == PUBLIC_SEED or len(seed.encode()) < SECRET_BYTES_MIN else []


def _known(date_s: Callable[[], float] | None) -> float | None:
    """A date of the certificate; None without TLS, or if it could not be read."""
    found = date_s() if date_s else math.inf
    return found if math.isfinite(found) else None


class AboutPage:
    """The page of one process; `chosen` are the options of the command line that all balancers must share."""

    def __init__(self, context: Context, chosen: Mapping[str, str]) -> None:
        config = context.config
        self._context = context
        self._code = {"lb": code_of(Path(__file__).resolve().parents[1])}
        self._settings = settings_text(config, without=OWN + HIDDEN) | dict(chosen)
        self._settings["SNAPSURGE_REDIS_URL"] = read(config.redis_url).name if config.redis_url else ""
        self._secrets = {
            f"{PREFIX}RING_SEED": fingerprints([config.ring_seed.encode()]),
            f"{PREFIX}TICKET_SECRET": fingerprints(config.ticket_secrets),
            f"{PREFIX}STAMP_SECRET": fingerprints(config.stamp_secrets),
        }
        self._shares: dict[str, float] | None = None  # of the ring whose homes are known
        self._homes = ""

    async def get(self, _: web.Request) -> web.Response:
        """Answer what this balancer is, as JSON; the digest of homes is computed again when the ring has changed."""
        context, shares = self._context, self._context.fleet.shares
        if self._shares is not shares:
            self._homes = await asyncio.to_thread(homes_of, context.fleet)
            self._shares = shares
        about = BalancerAbout(
            program="balancer",
            code=self._code,
            settings=self._settings,
            secrets=self._secrets,
            weak=weak(context.config),
            files_max=files_max(),
            files_needed=files_needed(context.config),
            members={name: node.member.address for name, node in sorted(context.fleet.nodes.items())},
            homes=self._homes,
            certificate_begins_s=_known(context.certificate_begins_s),
            certificate_ends_s=_known(context.certificate_ends_s),
            now_ms=now_ms(),
        )
        return web.Response(body=encode(about), content_type="application/json")
