"""One balancer process from start to exit: builds the parts, listens, waits for a stop signal, drains.

SIGTERM or SIGINT: for the announce time the process is not ready but still accepts, so that load balancers in front
that read `/readyz` send elsewhere. Then it accepts no connections, answers with `Connection: close`, and lets requests
in progress finish until the deadline. A second signal ends it at once. A successor that has inherited the sockets
(`front/handover.py`) makes it drain too, without the announce time. SIGHUP reopens log files. All tasks run in one
TaskGroup here.
"""

import asyncio
import contextlib
import functools
import itertools
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
from .front.listening import Acceptor, Speaks, opened, url
from .front.redirect import Redirect
from .front.tls import Termination
from .front.tls_transport import speaks_tls
from .membership.announcing import Announcing
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
    """The command-line options; `check` is a path or None for no active checks.

    `tls` is made here, before processes are forked. `redirect` is the address that sends plain HTTP on to it, or None.
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
    tls: Termination | None = None
    redirect: tuple[str, int] | None = None
    proxy_protocol: bool = False
    log: str = "json"


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


def shared(options: Options) -> dict[str, str]:
    """The options that all balancers must share, by their names on the command line."""
    check = options.check or "off"
    keys = {"--hash-on": options.hash_on, "--hash-reads-on": options.hash_reads_on}
    return {"--policy": options.policy, "--check": check, **keys}


async def serve(config: Config, options: Options) -> bool:
    """Serve until a stop signal or a successor, then drain; returns whether it was a successor."""
    raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    stop = stop_signals()
    fleet, announcing = Fleet(placement(config, options)), None
    membership, probes = Membership(config, fleet, options.nodes), Probes(config, fleet, options.check)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        def spawn(job: Coroutine[object, object, None]) -> object:
            return tasks.create_task(job)

        hashed = ("address", "") if options.policy == "ip-hash" else (options.hash_on, options.hash_reads_on)
        context = Context(config, fleet, hash_on=hashed[0], hash_reads_on=hashed[1], spawn=spawn)
        connections = Connections(context)
        watches = {"watch": connections.watch(), "lag": context.lag.watch()}
        background = [tasks.create_task(job, name=name) for name, job in watches.items()]
        if config.redis_url:
            store = await stack.enter_async_context(connect(config))
            await membership.try_poll(store)
            background.append(tasks.create_task(membership.follow(store), name="members"))
            announcing = Announcing(store, config.redis_timeout_ms / 1000)
            background.append(tasks.create_task(announcing.run(), name="announce"))
        await probes.first_round()
        background.append(tasks.create_task(probes.run(), name="probes"))
        app = application(connections, membership, shared(options))
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        journal = Journal(config, context)
        background.append(tasks.create_task(journal.run(), name="journal"))
        on_hangup(journal)
        if tls := options.tls:
            context.proto = b"https"
            context.certificate_begins_s = lambda: tls.validity.begins_s
            context.certificate_ends_s = lambda: tls.validity.ends_s
            tls.catch_up()
            background.append(tasks.create_task(tls.watch(), name="certificate"))
        acceptors = {
            address: Acceptor(connections, protocol, proxied=options.proxy_protocol, spawn=spawn)
            for address, protocol in spoken(config, options, connections).items()
        }
        try:
            return await listen_and_drain(config, options, connections, acceptors, runner, stop, announcing)
        finally:
            for task in background:
                task.cancel()
            await runner.cleanup()
            journal.close()


def spoken(config: Config, options: Options, connections: Connections) -> dict[str, Speaks]:
    """What is spoken at each listening address, by its name."""
    found: dict[str, Speaks] = {"listen": connections.accept}
    if options.tls:
        found["listen"] = speaks_tls(connections, options.tls)
    if options.redirect:
        found["redirect"] = functools.partial(Redirect, connections, config.https_port)
    return found


async def listen_and_drain(
    config: Config,
    options: Options,
    connections: Connections,
    acceptors: dict[str, Acceptor],
    runner: web.AppRunner,
    stop: asyncio.Event,
    announcing: Announcing | None = None,
) -> bool:
    """Open or inherit the ports, log them, wait for `stop` or a successor (returns True), then drain."""
    inherited = await asyncio.to_thread(inherit, config.handover) if config.handover else None
    # What can fail comes before the first accept and before `go`: until then the old process serves.
    listeners = await listening(options, acceptors, inherited, runner, announcing)
    donor = Donor(config.handover, listeners) if config.handover else None
    for name, acceptor in acceptors.items():
        await acceptor.start(listeners[name])
    left, replaced = stop.is_set(), False
    if left:
        leave(inherited, donor)
    else:
        tell(listeners, connections.context.proto.decode())
        if inherited:
            inherited.go()
        replaced = await stopped_or_replaced(stop, donor)
    connections.context.draining = True
    log.info("draining: %d connections, deadline %d s", len(connections.clients), config.drain_s)
    if replaced:
        log.info("another process has taken over the sockets, draining without the announce time")
    if left or replaced:
        for site in list(runner.sites):
            await site.stop()
    else:
        await asyncio.sleep(config.announce_ms / 1000)
    for acceptor in acceptors.values():
        acceptor.close()
    for listener in itertools.chain(*listeners.values()):
        listener.close()
    if options.tls or options.proxy_protocol:
        # Connections in a handshake or a PROXY header are not clients yet: let them become clients first.
        await asyncio.sleep(config.drain_fresh_ms / 1000)
    cut = await connections.drain(config.drain_s)
    log.info("drained, %d connections cut", cut)
    return replaced


def leave(inherited: Inherited | None, donor: Donor | None) -> None:
    """Take nothing over: a stop signal came first."""
    if inherited:
        log.info("stop signal before takeover: exiting without taking over the sockets; the old process keeps serving")
        inherited.leave()
    else:
        log.info("stop signal during startup: exiting")
    if donor:
        donor.close()


def tell(listeners: Listeners, scheme: str) -> None:
    """Log the addresses of clients' port, admin port and redirects, as they were bound."""
    shown = {
        name: url(found[0].getsockname(), scheme if name == "listen" else "http") for name, found in listeners.items()
    }
    log.info("listening on %s, admin %s", shown["listen"], shown.get("admin", "none"))
    if "redirect" in shown:
        log.info("redirecting %s to https", shown["redirect"])


async def listening(
    options: Options,
    acceptors: dict[str, Acceptor],
    inherited: Inherited | None,
    runner: web.AppRunner,
    announcing: Announcing | None,
) -> Listeners:
    """The listening sockets by name, inherited or opened; the admin port serves."""
    listeners: Listeners = {}
    for name in acceptors:
        host, port = options.redirect if name == "redirect" and options.redirect else options.listen
        found = inherited and inherited.at(name, port)
        listeners[name] = found or await opened(host, port, shared=options.processes > 1)
    if options.admin is not None:
        listeners["admin"] = (inherited and inherited.at("admin", options.admin[1])) or await opened(*options.admin)
        await runner.setup()
        for listener in listeners["admin"]:
            await web.SockSite(runner, listener.dup()).start()
        if announcing:
            announcing.begin(options.admin[0], listeners["admin"][0].getsockname()[1])
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


def on_hangup(journal: Journal) -> None:
    """On SIGHUP reopen the log files (for logrotate)."""

    def reopen() -> None:
        try:
            journal.reopen()
        except OSError as error:
            log.error("SIGHUP: not every log file was reopened, the old ones stay in use: %s", error)  # noqa: TRY400

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reopen)


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
