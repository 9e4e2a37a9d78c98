"""`python -m ingest`: one upload node. Reads the environment, builds the node, serves until told to stop.

The first SIGTERM or SIGINT drains: the node announces that it is draining, serves until the balancers know, accepts no
new connections, finishes requests in progress and exits 0. A second signal exits at once. If balancers have checked the
node's health before but no longer do, the node drains in the same way and then restarts in the same process.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import time
from typing import Literal

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import uvloop

from storage import config as storage_config
from storage import logs, settings
from storage.advertised import own_host
from storage.blobs import StoreUnavailable, StoreUnsuitable
from storage.causes import unwrapped
from storage.opening import admitted
from storage.rights import RightsMissing

from . import config as ingest_config
from .answering import malformed, without_bytes
from .app import Node, node, server
from .asked import Asked
from .body.doorway import finish_within, listening
from .heartbeat import Heartbeat, Member
from .memory import give_back
from .readiness import REDIS

log = logging.getLogger("snapsurge.ingest")

# An upload leaves no reference cycles, so there is seldom anything to collect; a collection every 700 objects cost 3 %.
GARBAGE_OBJECTS = 10_000
LAST_S = 1.0  # Seconds that open requests get at least, when parked uploads have used up the time to drain.
LOOK_S = 0.5  # Seconds between two checks whether a balancer has asked for the node's health.


def main() -> int:
    """Exit status: 0 drained, 1 store or port unavailable, 2 bad settings, rights or store."""
    arguments = _arguments()
    logs.set_up("node", arguments.log)
    logging.getLogger("aiohttp.server").addFilter(without_bytes)
    give_back()
    _raise_file_limit()
    try:
        host, port = _address(arguments.listen)
        config, storage = ingest_config.load(), storage_config.load()
        ingest_config.check_secrets(config, host)
        with unwrapped():
            again = uvloop.run(_serve(host, port, arguments.id, config, storage))
    except (settings.SettingsError, ValueError, StoreUnsuitable) as error:
        print(f"ingest: {error}", file=sys.stderr)
        return 2
    except RightsMissing:
        return 2
    except (StoreUnavailable, OSError) as error:
        print(f"ingest: {error}", file=sys.stderr)
        return 1
    if again:
        os.execv(sys.executable, [sys.executable, "-m", "ingest", *sys.argv[1:]])  # noqa: S606 - the same command anew
    return 0


def _raise_file_limit() -> None:
    """Raise the soft limit of file descriptors to the hard one."""
    # The usual soft limit of 1,024 is for programs that use select; an upload takes two descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ingest",
        description="One upload node: takes photo pairs, commits each with one PUT, queues its jobs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Settings, from the environment:\n" + settings.table(ingest_config.Config, storage_config.Config),
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:9001", metavar="HOST:PORT", help="address to listen on (%(default)s)"
    )
    parser.add_argument("--id", default="", help="the node's name on the ring (default: HOST:PORT)")
    logs.add_option(parser)
    return parser.parse_args()


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"--listen: not HOST:PORT: {listen!r}")
    return host.strip("[]"), int(port)


async def _serve(
    host: str, port: int, node_id: str, config: ingest_config.Config, storage: storage_config.Config
) -> bool:
    """Serve until drained; returns whether to restart."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop)
    await admitted(storage)
    async with node(config, storage, node_id or _advertised(host, port)) as running:
        runner = server(running.app, config)
        async with listening(runner, host, port, malformed):
            gc.collect()
            gc.freeze()  # exempts the libraries from later collections, as they stay in memory anyway
            gc.set_threshold(GARBAGE_OBJECTS)
            log.info("serving on http://%s:%d", host, port)
            again, left_s = await _until_stopped(stop, running, node_id, _advertised(host, port), config)
            finish_within(runner, left_s)
        log.info("drained")
        return again


async def _until_stopped(
    stop: asyncio.Event, running: Node, node_id: str, address: str, config: ingest_config.Config
) -> tuple[bool, float]:
    """Send heartbeats until stopped and while the balancers learn that the node drains, then unregister the node.

    Returns whether missing health checks ended it, not a signal, and the seconds left for open requests.
    """

    def member() -> Member:
        state: Literal["serving", "draining"] = "draining" if running.lifecycle.draining else "serving"
        return Member(address, weight=config.weight, zone=config.zone, state=state)

    def compared(ahead_s: float) -> None:
        if running.lifecycle.readiness is not None:
            running.lifecycle.readiness.compared(REDIS, ahead_s, time.perf_counter())

    heartbeat = Heartbeat(running.redis, node_id or address, member, config.heartbeat_s, compared)
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(heartbeat.run(), name="heartbeat")
        again = await _stopped_or_forgotten(stop, running.lifecycle.asked, heartbeat)
        log.info("draining")
        running.lifecycle.draining = True
        await heartbeat.beat()
        await asyncio.sleep(config.announce_s)
        # Phones that come back for their uploads find this node for as long as it drains, and balancers know it.
        began = time.monotonic()
        await running.resources.drained(config.drain_s)
        left_s = max(LAST_S, config.drain_s - (time.monotonic() - began))
        beating.cancel()
    await heartbeat.leave()
    return again, left_s


async def _stopped_or_forgotten(stop: asyncio.Event, asked: Asked, heartbeat: Heartbeat) -> bool:
    """Wait for a signal (False), or for so long a silence of the balancers that the node must restart (True)."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
        now = loop.time()
        verdict = asked.went_by(now - before)
        before = now
        if verdict == "register":
            log.warning("no health check from any balancer for %.0f s: registering again", asked.quiet_s)
            await heartbeat.beat(anew=True)
        elif verdict == "restart" and not stop.is_set():
            log.warning("no health check from any balancer for %.0f s: restarting", asked.quiet_s)
            return True
    return False


def _advertised(host: str, port: int) -> str:
    """The address for balancers to connect to; this machine's own if the node listens on all, as in a container."""
    return f"{own_host(host)}:{port}"


def _stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        log.warning("second signal: stopping at once, without draining")
        os._exit(1)
    stop.set()


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
