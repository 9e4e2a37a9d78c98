"""One balancer process from start to drained: builds the parts, listens, waits for the word to stop, drains.

All tasks live in one TaskGroup here. SIGTERM or SIGINT: not ready, but accepting, for the announce time, so that who
asks `/readyz` sends elsewhere; then no new connections, `Connection: close` on every answer, and requests under way
finish up to the deadline. A second signal ends the process at once.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine

import msgspec
from aiohttp import web

from .admin import application
from .config import Config
from .fleet import Fleet, Placement
from .members import Membership, connect
from .nodes import Damping, Member, Thresholds
from .policy import Bound
from .probes import Probes
from .proxy import Proxy

log = logging.getLogger("snapsurge.lb.server")

BACKLOG = 4096  # A burst arrives within a second; the kernel caps this at net.core.somaxconn.

SWITCH_S = 0.001  # The loop waits no longer for a thread that makes a ring; Python's own five are the whole limit.


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; `check` is a path, or None for no active checks."""

    listen: tuple[str, int]
    admin: tuple[str, int] | None
    nodes: list[Member]
    hash_on: str
    policy: str
    check: str | None


def placement(config: Config, options: Options) -> Placement:
    """How this process places requests."""
    return Placement(
        policy=options.policy,
        seed=config.ring_seed.encode(),
        slots=config.ring_slots,
        bound=Bound(config.bound_percent, config.bound_floor_bytes),
        thresholds=Thresholds(
            config.check_rise, config.check_fall, Damping(base_s=config.flap_s / 2, max_s=config.flap_s_max)
        ),
        checked=options.check is not None,
        zone=config.zone,
        request_bytes=config.request_bytes,
        slow_start_s=config.slow_start_s,
        faulty_users=config.faulty_users,
        retry_percent=config.retry_percent,
        retry_floor=config.retry_floor,
    )


async def serve(config: Config, options: Options) -> None:
    """Run until a signal, then drain."""
    raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    stop = stop_signals()
    fleet = Fleet(placement(config, options))
    membership = Membership(config, fleet, options.nodes)
    probes = Probes(config, fleet, options.check)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        def spawn(job: Coroutine[object, object, None]) -> object:
            return tasks.create_task(job)

        hash_on = "address" if options.policy == "ip-hash" else options.hash_on
        proxy = Proxy(config, fleet, hash_on=hash_on, spawn=spawn)
        background = [tasks.create_task(proxy.watch(), name="watch")]
        if config.redis_url:
            store = await stack.enter_async_context(connect(config))
            await membership.try_look(store)
            background.append(tasks.create_task(membership.follow(store), name="members"))
        await probes.first_round()
        background.append(tasks.create_task(probes.run(), name="probes"))
        runner = web.AppRunner(application(proxy, membership), access_log=None, handle_signals=False)
        try:
            await listen_and_drain(config, options, proxy, runner, stop)
        finally:
            for task in background:
                task.cancel()
            await runner.cleanup()


async def listen_and_drain(
    config: Config, options: Options, proxy: Proxy, runner: web.AppRunner, stop: asyncio.Event
) -> None:
    """Open the ports, say so, wait for `stop`, close in order."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(proxy, *options.listen, backlog=BACKLOG)
    admin = "none"
    if options.admin is not None:
        await runner.setup()
        await web.TCPSite(runner, *options.admin).start()
        admin = url(runner.addresses[0])
    log.info("listening on %s, admin %s", url(server.sockets[0].getsockname()), admin)
    await stop.wait()
    proxy.draining = True
    log.info("draining: %d connections, deadline %d s", len(proxy.clients), config.drain_s)
    await asyncio.sleep(config.announce_ms / 1000)
    server.close()
    cut = await proxy.drain(config.drain_s)
    log.info("drained, %d connections cut", cut)


def url(address: tuple[str, int]) -> str:
    """An address as people write it."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}"


def stop_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def raise_file_limit() -> None:
    """Every upload takes two descriptors; the soft limit of 1024 is for programs that still use select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
