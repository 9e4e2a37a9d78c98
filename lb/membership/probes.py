"""Active checks: asks each node for one path and tells the fleet what came of it.

Any status below 500 passes: a server that says 404 lives and has no such page, ours say 503 when they are not ready.
A refused connection is told as such: it counts at once. A check brings this balancer's time, as requests do, so that
a node can tell a wrong clock; a node that is not ready says why in its answer, and the log repeats it. Jitter spreads
the checks, so that balancers do not ask in step; a node that is not healthy is asked more often. With checks off, an
ejected node gets another chance after a rest. The loop here is also the fleet's clock, twenty times a second.
"""

import asyncio
import logging
import random
import re
import secrets
import time

from ..config import Config
from ..placement.fleet import Fleet
from ..placement.health import Event, State
from ..placement.node import Node

log = logging.getLogger("snapsurge.lb.probes")

LOOK_S = 0.05  # How often due checks are looked for: well below the shortest interval.
REASON_BYTES_MAX = 2048  # Of a failed check's answer, head included.
REASON_CHARS_MAX = 120
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_REASON = re.compile(rb"\r\n\r\n([ -~]+)")
# Each process has a name of its own, by which a node tells its word on the time from another balancer's.
AGENT = f"snapsurge-lb ({secrets.token_hex(4)})"


async def ask(host: str, port: int, path: str, timeout_s: float) -> tuple[Event, str]:
    """PASSED, FAILED or REFUSED, and why."""
    reason = ""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {AGENT}\r\n"
                f"Snapsurge-Received-At: {time.time_ns() // 1_000_000}\r\nConnection: close\r\n\r\n"
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
    """The first line of the answer's body as far as it is plain text, empty where there is none."""
    answer = b"\r\n"  # The status line's, which was read.
    while not (found := _REASON.search(answer)) or not answer.endswith(b"\n"):
        more = await reader.read(REASON_BYTES_MAX - len(answer))
        if not more:
            break
        answer += more
    return found[1].decode("ascii")[:REASON_CHARS_MAX] if found else ""


class Probes:
    """The checks of all nodes; `path` is None when they are off."""

    def __init__(self, config: Config, fleet: Fleet, path: str | None) -> None:
        self._config = config
        self._fleet = fleet
        self._path = path
        self._asking: set[Node] = set()

    async def first_round(self) -> None:
        """Check every node once, together, so that the first requests find their homes."""
        async with asyncio.TaskGroup() as tasks:
            for node in self._fleet.nodes.values():
                tasks.create_task(self._check(node))

    async def run(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = loop.time()
                self._fleet.tick(now)
                for node in list(self._fleet.nodes.values()):
                    if self._path is None:
                        self._rest(node, now)
                    elif node.check_at <= now and node not in self._asking:
                        self._asking.add(node)
                        tasks.create_task(self._check(node))
                await asyncio.sleep(LOOK_S)

    def _rest(self, node: Node, now: float) -> None:
        ejected = node.health.state in {State.SUSPECT, State.DEAD}
        if ejected and now - node.health.since >= self._config.rest_s:
            self._fleet.note(node, Event.RESTED, now, "another chance")

    async def _check(self, node: Node) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        try:
            if self._path is not None:
                event, reason = await ask(node.host, node.port, self._path, config.check_timeout_ms / 1000)
                self._fleet.note(node, event, loop.time(), reason)
        finally:
            interval = config.check_ms if node.health.state is State.HEALTHY else config.check_fast_ms
            node.check_at = loop.time() + interval / 1000 * random.uniform(0.8, 1.2)
            self._asking.discard(node)
