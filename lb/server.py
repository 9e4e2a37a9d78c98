"""One balancer process from start to exit: builds the parts, listens, waits for a stop signal, drains.

SIGTERM or SIGINT: for the announce time the process is not ready but still accepts, so that load balancers in front
that read `/readyz` send elsewhere. Then it accepts no connections, answers with `Connection: close`, and lets requests
in progress finish until the deadline. A second signal ends it at once. A successor that has inherited the sockets
(`front/handover.py`) makes it drain too, without the announce time. SIGHUP reads the certificate again and reopens log
files. All tasks run in one TaskGroup here.
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

from .config import Config
from .front.handover import Donor, Inherited, Listeners, inherit
from .front.listening import Acceptor, opened
from .front.tls import Termination, TlsError
from .membership.members import Membership, connect
from .membership.probes import Probes
from .ops.admin import application
from .ops.journal import Journal
from .placement.fleet import Fleet
from .placement.health import Damping, Thresholds
from .placement.node import Member
from .placement.parameters import Placement
from .placement.policy import Bound
from .relay.connections import Connections
from .relay.context import Context

log = logging.getLogger("snapsurge.lb.server")

SWITCH_S = 0.001  # The longest that the loop waits for a thread that builds a ring; Python's default is 5 ms.


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command-line options; `check` is a path or None for no active checks, `tls` the certificate and key files.

    `processes` is the number of processes that share the port.
    """

    listen: tuple[str, int]
    admin: tuple[str, int] | None
    nodes: list[Member]
    hash_on: str
    hash_reads_on: str = ""
    policy: str
    check: str | None
    processes: int = 1
    tls: tuple[str, str] | None = None
    proxy_protocol: bool = False


def placement(config: Config, options: Options) -> Placement:
    """The placement parameters of settings and options."""
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


async def serve(config: Config, options: Options) -> bool:
    """Serve until a stop signal or a successor, then drain; returns whether it was a successor."""
    raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    stop = stop_signals()
    fleet = Fleet(placement(config, options))
    membership = Membership(config, fleet, options.nodes)
    probes = Probes(config, fleet, options.check)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        def spawn(job: Coroutine[object, object, None]) -> object:
            return tasks.create_task(job)

        hash_on, hash_reads_on = (options.hash_on, options.hash_reads_on)
        if options.policy == "ip-hash":
            hash_on, hash_reads_on = "address", ""
        context = Context(config, fleet, hash_on=hash_on, hash_reads_on=hash_reads_on, spawn=spawn)
        connections = Connections(context)
        background = [
            tasks.create_task(connections.watch(), name="watch"),
            tasks.create_task(context.lag.watch(), name="lag"),
        ]
        if config.redis_url:
            store = await stack.enter_async_context(connect(config))
            await membership.try_poll(store)
            background.append(tasks.create_task(membership.follow(store), name="members"))
        await probes.first_round()
        background.append(tasks.create_task(probes.run(), name="probes"))
        runner = web.AppRunner(application(connections, membership), access_log=None, handle_signals=False)
        tls = Termination(*options.tls) if options.tls else None
        journal = Journal(config, context)
        background.append(tasks.create_task(journal.run(), name="journal"))
        on_hangup(tls, journal)
        acceptor = Acceptor(connections, tls.context if tls else None, proxied=options.proxy_protocol, spawn=spawn)
        context.proto = b"https" if tls else b"http"
        try:
            return await listen_and_drain(config, options, connections, acceptor, runner, stop)
        finally:
            for task in background:
                task.cancel()
            await runner.cleanup()
            journal.close()


async def listen_and_drain(
    config: Config,
    options: Options,
    connections: Connections,
    acceptor: Acceptor,
    runner: web.AppRunner,
    stop: asyncio.Event,
) -> bool:
    """Open or inherit the ports, log them, wait for `stop` or a successor (returns True), then drain."""
    inherited = await asyncio.to_thread(inherit, config.handover) if config.handover else None
    # What can fail comes before the first accept and before `go`: until then the old process serves.
    listeners = await listening(options, inherited, runner)
    donor = Donor(config.handover, listeners) if config.handover else None
    await acceptor.start(listeners["listen"])
    left, replaced = stop.is_set(), False
    if left:
        log.info("told to stop before it took over, ending; a process that already serves this address stays")
        if inherited:
            inherited.leave()
        if donor:
            donor.close()
    else:
        scheme, admin = connections.context.proto.decode(), listeners.get("admin")
        address = url(listeners["listen"][0].getsockname(), scheme)
        log.info("listening on %s, admin %s", address, url(admin[0].getsockname()) if admin else "none")
        if inherited:
            inherited.go()
        replaced = await stopped_or_replaced(stop, donor)
    connections.context.draining = True
    log.info("draining: %d connections, deadline %d s", len(connections.clients), config.drain_s)
    if left or replaced:
        if replaced:
            log.info("another process has taken over the sockets, draining without the announce time")
        for site in list(runner.sites):
            await site.stop()
    else:
        await asyncio.sleep(config.announce_ms / 1000)
    acceptor.close()
    for listener in (listener for kind in listeners.values() for listener in kind):
        listener.close()
    if options.tls or options.proxy_protocol:
        # Connections in a handshake or a PROXY header are not clients yet: let them become clients first.
        await asyncio.sleep(config.drain_fresh_ms / 1000)
    cut = await connections.drain(config.drain_s)
    log.info("drained, %d connections cut", cut)
    return replaced


async def listening(options: Options, inherited: Inherited | None, runner: web.AppRunner) -> Listeners:
    """The listening sockets by name, inherited or opened; the admin port serves."""
    found = inherited and inherited.at("listen", options.listen[1])
    listeners: Listeners = {"listen": found or await opened(*options.listen, shared=options.processes > 1)}
    if options.admin is not None:
        listeners["admin"] = (inherited and inherited.at("admin", options.admin[1])) or await opened(*options.admin)
        await runner.setup()
        for listener in listeners["admin"]:
            await web.SockSite(runner, listener.dup()).start()
    return listeners


async def stopped_or_replaced(stop: asyncio.Event, donor: Donor | None) -> bool:
    """Wait for a stop signal or a successor, which may inherit the sockets meanwhile; whether it was a successor."""
    if donor is None:
        await stop.wait()
        return False
    async with asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(donor.run(), name="handover")
        await either(stop, donor.replaced)
        giving.cancel()
    return donor.replaced.is_set()


async def either(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def on_hangup(tls: Termination | None, journal: Journal) -> None:
    """On SIGHUP read certificate and key again and reopen the log files (for logrotate)."""

    def reload() -> None:
        try:
            journal.reopen()
            if tls:
                tls.reload()
                log.info("certificate read again, new connections use it")
        except (TlsError, OSError) as error:
            log.error("SIGHUP: not everything was reloaded, the old certificate and files stay in use: %s", error)  # noqa: TRY400

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def url(address: tuple[str, int], scheme: str = "http") -> str:
    """An address as a URL."""
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
    """Raise the soft limit of file descriptors to the hard one."""
    # Every upload takes two descriptors. The usual soft limit of 1024 is for programs that use select.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
