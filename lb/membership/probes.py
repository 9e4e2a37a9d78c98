"""Active health checks: requests one path of each node and reports the result to the fleet.

Any status below 500 passes: a server that answers 404 is alive and has no such page; a node that is not ready answers
503 with the reason, which the log repeats. With checks off, an ejected node is tried again after `rest_s`. The loop
here is also the fleet's clock, twenty times a second.
"""

import asyncio
import logging
import random
import re
import secrets
import time

from ..config import Config
from ..http1.origin import Origin
from ..http1.stamps import Stamper
from ..placement.fleet import Fleet
from ..placement.health import Event, State
from ..placement.node import Node

log = logging.getLogger("snapsurge.lb.probes")

POLL_S = 0.05  # Between two searches for due checks: well below the shortest interval.
REASON_BYTES_MAX = 2048  # Bytes read of a failed check's answer, head included.
REASON_CHARS_MAX = 120
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_REASON = re.compile(rb"\r\n\r\n([ -~]+)")
# The token differs for each process: a node compares the clocks of several balancers, so it must tell them apart.
# More than a packet on any common path. A path with a smaller MTU that says nothing of it passes small requests and
# loses uploads: then the check is lost too. Servers take heads of 8 KB and more.
PADDING_BYTES = 2048
OURS, UNSTAMPED = Origin(b"", b""), Stamper(())
PADDING = "0" * PADDING_BYTES
AGENT = f"snapsurge-lb ({secrets.token_hex(4)})"


async def probe(host: str, port: int, path: str, timeout_s: float, stamper: Stamper = UNSTAMPED) -> tuple[Event, str]:
    """Check once: PASSED, FAILED or REFUSED, and the reason.

    The request carries this balancer's time, stamped, so that a node notices that its clock is wrong.
    """
    reason = ""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            now_ms = time.time_ns() // 1_000_000
            stamp = stamper.line(OURS, now_ms, b"").decode("ascii")
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {AGENT}\r\n"
                f"Snapsurge-Received-At: {now_ms}\r\n{stamp}X-Padding: {PADDING}\r\nConnection: close\r\n\r\n"
            )
            writer.write(request.encode("ascii"))
            line = await reader.readline()
            status = _STATUS.match(line)
            if status and int(status[1]) >= 500:
                reason = await _reason(reader)
    except TimeoutError:
        return Event.FAILED, "check timed out"
    except ConnectionRefusedError:
        return Event.REFUSED, "check refused: nobody listens"
    except (OSError, ValueError) as error:
        return Event.FAILED, f"check failed: {getattr(error, 'strerror', None) or error}"
    finally:
        if writer is not None:
            writer.transport.abort()
    if status is None:
        return Event.FAILED, "check got no HTTP answer"
    if int(status[1]) >= 500:
        return Event.FAILED, f"check answered {int(status[1])}" + (f": {reason}" if reason else "")
    return Event.PASSED, "checks pass"


async def _reason(reader: asyncio.StreamReader) -> str:
    """The first line of the answer's body as far as it is printable ASCII."""
    answer = b"\r\n"  # The status line's, which was read.
    while not (found := _REASON.search(answer)) or not answer.endswith(b"\n"):
        more = await reader.read(REASON_BYTES_MAX - len(answer))
        if not more:
            break
        answer += more
    return found[1].decode("ascii")[:REASON_CHARS_MAX] if found else ""


class Probes:
    """The checks of all nodes; `path` is None when checks are off."""

    def __init__(self, config: Config, fleet: Fleet, path: str | None) -> None:
        self._config = config
        self._fleet = fleet
        self._path = path
        self._stamper = Stamper(config.stamp_secrets)
        self._probing: set[Node] = set()

    async def first_round(self) -> None:
        """Check all nodes once, concurrently, so that the first requests find their homes healthy."""
        async with asyncio.TaskGroup() as tasks:
            for node in self._fleet.nodes.values():
                tasks.create_task(self._check(node))

    async def run(self) -> None:
        """Check each node when its time comes, until cancelled; without checks, try ejected nodes again."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = loop.time()
                self._fleet.tick(now)
                for node in list(self._fleet.nodes.values()):
                    if self._path is None:
                        self._retry_ejected(node, now)
                    elif node.check_at <= now and node not in self._probing:
                        self._probing.add(node)
                        tasks.create_task(self._check(node))
                await asyncio.sleep(POLL_S)

    def _retry_ejected(self, node: Node, now: float) -> None:
        ejected = node.health.state in {State.SUSPECT, State.DEAD}
        if ejected and now - node.health.since >= self._config.rest_s:
            self._fleet.note(node, Event.RESTED, now, "ejection time is over, trying the node again")

    async def _check(self, node: Node) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        try:
            if self._path is not None:
                event, reason = await probe(
                    node.host, node.port, self._path, config.check_timeout_ms / 1000, self._stamper
                )
                self._fleet.note(node, event, loop.time(), reason)
        finally:
            interval = config.check_ms if node.health.state is State.HEALTHY else config.check_fast_ms
            # Jitter: else the balancers of a service would check in step.
            node.check_at = loop.time() + interval / 1000 * random.uniform(0.8, 1.2)
            self._probing.discard(node)
