"""`python -m bench.contests.node`: compares the cost of a pair in our node, the textbook stack and tusd, on one MinIO.

All servers run at once and are loaded in turn, so that other load on the machine affects all of them. Load comes from
this process, whose own CPU does not count. CPU is user and system time of the server and, separately, of MinIO. A bare
server, which only receives, hashes and sends on a pair, gives the lower bound. The last row is memory: many slow
uploads at once, counted as bytes held beyond the bytes received.
"""

import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from .. import command
from ..client import BOUNDARY, multipart, token
from ..peers import backing, bare, meter, started, textbook, tusd
from ..peers.phone import Phone, PhoneError, connected
from ..photos import Gallery
from ..rows import OURS, Row, against, judged

SIZES: Final = {100_000: "2 x 100 KB", 350_000: "2 x 350 KB", 1_000_000: "2 x 1 MB"}
# Of the CPU of the cheapest peer.
AIM: Final = 0.25
# Receives, hashes and sends on a pair, and nothing else: what no node in Python can be below.
FLOOR: Final = "bare calls"
SECRET: Final = "a-secret-of-the-bench-32-characters"  # noqa: S105 - of servers that end with the bench
PHONES: Final = 16
PAIRS: Final = 8  # different pairs, sent in turn; every upload is of a new user
SLOW_PHOTO_BYTES: Final = 350_000
SLOW_BYTES_S: Final = 8000  # 64 kbit/s
BEAT_S: Final = 0.5
EXTRA_MB_MAX: Final = 100

Pair = tuple[bytes, bytes]
Request = list[bytes]


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the bench: rounds, pairs of each round by photo size (for about equal time), and the slow phones."""

    rounds: int
    pairs: Mapping[int, int]
    slow: int
    slow_s: float


FULL: Final = Effort(rounds=7, pairs={100_000: 400, 350_000: 250, 1_000_000: 120}, slow=2000, slow_s=40.0)
QUICK: Final = Effort(rounds=2, pairs={100_000: 100, 350_000: 60, 1_000_000: 32}, slow=2000, slow_s=5.0)


class Contender(msgspec.Struct, frozen=True):
    """A running upload server, and the requests that upload a user's pair to it."""

    pid: int
    port: int
    requests: Callable[[str, Pair], list[Request]]


def upload(path: str) -> Callable[[str, Pair], list[Request]]:
    """Makes the one request of a pair: a multipart POST with a token."""

    def requests(user: str, pair: Pair) -> list[Request]:
        body = multipart(*pair)
        bearer = token(SECRET, user, "upload", time.time())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: lb.example\r\nAuthorization: Bearer {bearer}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return [[head.encode(), body]]

    return requests


def resumable(user: str, pair: Pair) -> list[Request]:
    """The requests of a pair in the tus protocol: one upload for each photo."""
    return [[tusd.head(user, len(photo)), photo] for photo in pair]


def our_settings(behind: backing.Backing) -> dict[str, str]:
    """The addresses and the secret of our programs."""
    return {
        "SNAPSURGE_STORE_URL": f"s3://node?endpoint={behind.s3}&region={backing.REGION}",
        "SNAPSURGE_REDIS_URL": behind.redis,
        "SNAPSURGE_AUTH_SECRET": SECRET,
    }


def node_command(port: int, behind: backing.Backing) -> list[str]:
    """The command that starts our node as an operator does, except that it does not wait for a balancer."""
    settings = our_settings(behind) | {
        "SNAPSURGE_INGEST_REGISTER_S": "0",
        "SNAPSURGE_INGEST_RESTART_S": "0",
        "SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": str(2 * 2**30),  # two thousand slow uploads announce 1.4 GB
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *backing.credentials(), *words, sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{port}"]


def textbook_command(port: int, behind: backing.Backing) -> list[str]:
    """The command that starts the textbook server on the same store and Redis, with the same secret."""
    given = [str(port), behind.s3, "textbook", behind.redis, SECRET, tusd.BUCKET]
    return ["env", *backing.credentials(), sys.executable, "-m", textbook.__name__, *given]


def bare_command(port: int, behind: backing.Backing) -> list[str]:
    """The command that starts the bare server; it stores into the textbook server's bucket."""
    given = [str(port), behind.s3, "textbook"]
    return [sys.executable, "-m", bare.__name__, *given]


def moment_path(port: int, asked: bytes = b'{"region":"eu"}') -> str:
    """Open a moment on the node, as this JSON asks; the path of the moment's posts."""
    address, bearer = f"http://127.0.0.1:{port}/v1/moments", token(SECRET, "bench", "ops", time.time())
    fields = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, asked, fields)
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
        return f"/v1/moments/{json.load(answer)['id']}/posts"


@contextlib.contextmanager
def contenders(behind: backing.Backing) -> Iterator[dict[str, Contender]]:
    """Start all servers; yields them when they listen. The textbook server creates its own bucket and tusd's."""
    ports = [started.free_port() for _ in range(4)]
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(started.process(node_command(ports[0], behind), ports[0]))
        book = stack.enter_context(started.process(textbook_command(ports[1], behind), ports[1]))
        peer = stack.enter_context(started.process(tusd.command(ports[2], behind.s3), ports[2]))
        floor = stack.enter_context(started.process(bare_command(ports[3], behind), ports[3]))
        yield {
            OURS: Contender(node.pid, ports[0], upload(moment_path(ports[0]))),
            "textbook": Contender(book.pid, ports[1], upload("/upload")),
            "tusd": Contender(peer.pid, ports[2], resumable),
            FLOOR: Contender(floor.pid, ports[3], upload("/upload")),
        }


async def post(
    requests: Callable[[str, Pair], list[Request]],
    phones: Sequence[Phone],
    users: Iterator[int],
    pairs: Sequence[Pair],
    count: int,
) -> None:
    """Send `count` pairs, each of a new user, over these connections; a connection sends the next after an answer."""
    left = iter(range(count))

    async def sent_from(phone: Phone) -> None:
        for number in left:
            for request in requests(f"user-{next(users)}", pairs[number % len(pairs)]):
                await phone.post(request)

    async with asyncio.TaskGroup() as tasks:
        for phone in phones:
            tasks.create_task(sent_from(phone))


@contextlib.asynccontextmanager
async def phones_of(contender: Contender) -> AsyncIterator[list[Phone]]:
    """Connections to this server for one turn; while the others take theirs, it would end them as idle."""
    phones = [await connected(contender.port) for _ in range(PHONES)]
    try:
        yield phones
    finally:
        for phone in phones:
            phone.transport.close()


async def compare(
    size: int, field: Mapping[str, Contender], minio_pid: int, users: Iterator[int], effort: Effort
) -> list[Row]:
    """The rows of one size: CPU ms per pair of each server, of MinIO meanwhile, and of the bare server."""
    gallery = Gallery(size, size)
    pairs = [(gallery.photo(str(n), "front", size), gallery.photo(str(n), "back", size)) for n in range(PAIRS)]
    readings: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for contender in field.values():  # warm-up, so that no round includes cold code
        async with phones_of(contender) as phones:
            await post(contender.requests, phones, users, pairs, 2 * PHONES)
    turn = list(field.items())
    count = effort.pairs[size]
    for number in range(effort.rounds):
        # All servers run at once and are loaded in turn, so that other load on the machine affects all of them.
        for name, contender in turn[number % len(turn) :] + turn[: number % len(turn)]:
            watched = {"server": contender.pid, "MinIO": minio_pid}
            async with phones_of(contender) as phones:
                before = {part: meter.cpu_ms(pid) for part, pid in watched.items()}
                await post(contender.requests, phones, users, pairs, count)
                for part, pid in watched.items():
                    readings[part][name].append((meter.cpu_ms(pid) - before[part]) / count)
    # It is no contender: its row has it in our place.
    floor = {part: found.pop(FLOOR) for part, found in readings.items()}
    unit = "CPU ms per pair"
    return [
        against(f"{SIZES[size]}, server", unit, readings["server"], at_most=AIM),
        against(f"{SIZES[size]}, MinIO", unit, readings["MinIO"]),
        against(f"{SIZES[size]}, {FLOOR} in our place", unit, readings["server"] | {OURS: floor["server"]}),
    ]


async def slow_uploads(contender: Contender, effort: Effort) -> Row:
    """Many phones at 64 kbit/s: the peak of memory minus the bytes sent so far, read between their pieces.

    Unread bytes in the kernel's receive queues count as the server's memory.
    """
    photo = Gallery(1, SLOW_PHOTO_BYTES).photo("slow", "front", SLOW_PHOTO_BYTES)
    piece, most, sent = int(SLOW_BYTES_S * BEAT_S), 0.0, 0
    phones: list[Phone] = []
    try:
        for number in range(effort.slow):
            ((head, body),) = contender.requests(f"slow-{number}", (photo, photo))
            phone = await connected(contender.port)
            phone.transport.write(head)
            phones.append(phone)
        for at in range(0, int(SLOW_BYTES_S * effort.slow_s), piece):
            for phone in phones:
                phone.transport.write(body[at : at + piece])
            await asyncio.sleep(BEAT_S)
            sent += piece * len(phones)
            # Bytes that the server leaves in the kernel take memory, too.
            held = meter.rss_kib(contender.pid) * 1024 + meter.unread_bytes(contender.port)
            most = max(most, (held - sent) / 1e6)
        # A server that cuts slow uploads would win this row.
        if any(phone.closed.is_set() for phone in phones):
            raise PhoneError("a slow upload was cut")
    finally:
        for phone in phones:
            phone.transport.abort()
    what = f"{effort.slow} uploads of 700 KB at 64 kbit/s, {sent / 1e6:.0f} MB received"
    unit = f"MB held beyond received (ratio to {EXTRA_MB_MAX})"
    return judged(what, unit, most, ratio=most / EXTRA_MB_MAX, at_most=1.0)


async def measure(behind: backing.Backing, effort: Effort, tell: command.Tell) -> None:
    """Measure every row and tell each as soon as it is known."""
    users = itertools.count()
    with contenders(behind) as field:
        for size in SIZES:
            for row in await compare(size, field, behind.minio_pid, users, effort):
                tell(row)
        # The node has already served uploads: memory that it kept from them is part of this result.
        tell(await slow_uploads(field[OURS], effort))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.node", __doc__, "node.json", arguments)
    effort = QUICK if given.quick else FULL

    def told(tell: command.Tell) -> None:
        tusd.program()
        with tempfile.TemporaryDirectory(prefix="bench-node-") as folder, backing.backing(Path(folder)) as behind:
            uvloop.run(measure(behind, effort, tell))

    return command.run(given.out, told, rounds=effort.rounds)


if __name__ == "__main__":
    sys.exit(main())
