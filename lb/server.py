"""One balancer process from start to drained: builds the parts, listens, waits for the word to stop, drains.

All tasks live in one TaskGroup here. SIGTERM or SIGINT: not ready, but accepting, for the announce time, so that who
asks `/readyz` sends elsewhere; then no new connections, `Connection: close` on every answer, and requests under way
finish up to the deadline. A second signal ends the process at once. A successor that has taken the sockets over
(`handover.py`) is a reason to drain too, without announcing. SIGHUP reads the certificate and opens log files anew.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Coroutine

import msgspec
from aiohttp import web

from .admin import application
from .config import Config
from .fleet import Fleet, Placement
from .handover import Doors, Giver, take
from .journal import Journal
from .listening import Reception, opened
from .members import Membership, connect
from .nodes import Damping, Member, Thresholds
from .policy import Bound
from .probes import Probes
from .proxy import Proxy
from .tls import Termination, TlsError

log = logging.getLogger("snapsurge.lb.server")

SWITCH_S = 0.001  # The loop waits no longer for a thread that makes a ring; Python's own five are the whole limit.


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; `check` is a path or None for no active checks, `tls` certificate and key files.

    `processes` share the port, each in a process of its own.
    """

    listen: tuple[str, int]
    admin: tuple[str, int] | None
    nodes: list[Member]
    hash_on: str
    policy: str
    check: str | None
    processes: int = 1
    tls: tuple[str, str] | None = None
    proxy_protocol: bool = False


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
        background = [
            tasks.create_task(job, name=name) for name, job in (("watch", proxy.watch()), ("lag", proxy.lag.watch()))
        ]
        if config.redis_url:
            store = await stack.enter_async_context(connect(config))
            await membership.try_look(store)
            background.append(tasks.create_task(membership.follow(store), name="members"))
        await probes.first_round()
        background.append(tasks.create_task(probes.run(), name="probes"))
        runner = web.AppRunner(application(proxy, membership), access_log=None, handle_signals=False)
        tls = Termination(*options.tls) if options.tls else None
        journal = Journal(config, proxy)
        background.append(tasks.create_task(journal.run(), name="journal"))
        on_hangup(tls, journal)
        reception = Reception(proxy, tls.context if tls else None, proxied=options.proxy_protocol, spawn=spawn)
        proxy.proto = b"https" if tls else b"http"
        try:
            await listen_and_drain(config, options, proxy, reception, runner, stop)
        finally:
            for task in background:
                task.cancel()
            await runner.cleanup()
            journal.close()


async def listen_and_drain(
    config: Config, options: Options, proxy: Proxy, reception: Reception, runner: web.AppRunner, stop: asyncio.Event
) -> None:
    """Open the ports or take them over, say so, wait for `stop` or a successor, close in order."""
    taken = await asyncio.to_thread(take, config.handover) if config.handover else None
    shared = options.processes > 1
    found = taken and taken.at("listen", options.listen[1])
    doors: Doors = {"listen": found or await opened(*options.listen, shared=shared)}
    await reception.start(doors["listen"])
    admin = "none"
    if options.admin is not None:
        doors["admin"] = (taken and taken.at("admin", options.admin[1])) or await opened(*options.admin)
        await runner.setup()
        for door in doors["admin"]:
            await web.SockSite(runner, door.dup()).start()
        admin = url(doors["admin"][0].getsockname())
    scheme = proxy.proto.decode()
    log.info("listening on %s, admin %s", url(doors["listen"][0].getsockname(), scheme), admin)
    if taken:
        taken.go()
    async with successor(config, doors) as replaced:
        await either(stop, replaced)
    proxy.draining = True
    log.info("draining: %d connections, deadline %d s", len(proxy.clients), config.drain_s)
    if replaced.is_set():
        log.info("another process has taken over")
        for site in list(runner.sites):
            await site.stop()
    else:
        await asyncio.sleep(config.announce_ms / 1000)
    reception.close()
    for door in (door for kind in doors.values() for door in kind):
        door.close()
    if options.tls or options.proxy_protocol:
        # Handshakes and headers under way are no clients yet.
        await asyncio.sleep(config.drain_fresh_ms / 1000)
    cut = await proxy.drain(config.drain_s)
    log.info("drained, %d connections cut", cut)


@contextlib.asynccontextmanager
async def successor(config: Config, doors: Doors) -> AsyncIterator[asyncio.Event]:
    """While open, the next process may ask for the sockets; the event says that it has them."""
    giver = Giver(config.handover, doors)
    async with asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(giver.run(), name="handover") if config.handover else None
        yield giver.replaced
        if giving:
            giving.cancel()


async def either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def on_hangup(tls: Termination | None, journal: Journal) -> None:
    """SIGHUP: certificate and key are read again, log files opened anew (for logrotate)."""

    def reload() -> None:
        try:
            journal.reopen()
            if tls:
                tls.reload()
                log.info("certificate read again")
        except (TlsError, OSError) as error:
            log.error("not reloaded: %s", error)  # noqa: TRY400 - a line for the operator, the rest runs on

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def url(address: tuple[str, int], scheme: str = "http") -> str:
    """An address as people write it."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"


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
