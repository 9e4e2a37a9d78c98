"""Phones and viewers that load the stack: each upload over a new connection, in pieces as an uplink delivers them.

They run in the bench's process, whose CPU counts for no tier.
"""

import asyncio
import functools
import itertools
import math
import re
import ssl
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from ..client import BOUNDARY, multipart
from ..config import Config
from ..peers.phone import Phone, PhoneError
from ..photos import Gallery
from ..traces.synthesis import Shape
from .stack import Stack

PAIRS: Final = 8  # different pairs, sent in turn; every upload is of a new user
SIGMA: Final = Shape(posters=1).photo_sigma
TURN: Final = 3  # a large front is not always beside a large back; prime to PAIRS
# Many at once, as in a burst: a loop that is woken up for one piece alone costs more for each.
CONNECTIONS: Final = 64
UPLINK_BYTES_S: Final = 625_000  # 5 Mbit/s, the middle class of the synthetic uplinks
# Ten segments of 1460 bytes: the initial window of RFC 6928, which is what comes at once from a phone across a network.
PIECE_BYTES: Final = 14_600
LOCATION: Final = re.compile(rb"\r\nlocation:[ \t]*/v1/posts/(\S+)\r\n", re.IGNORECASE)
USERS: Final = itertools.count()


class Sent(msgspec.Struct, frozen=True):
    """An accepted upload: the user, the post's id."""

    user: str
    post_id: str


def bodies(size: int) -> list[bytes]:
    """Bodies of pairs whose photos have this size each."""
    gallery = Gallery(size, size)
    sides = [(gallery.photo(str(n), "front", size), gallery.photo(str(n), "back", size)) for n in range(PAIRS)]
    return [multipart(*pair) for pair in sides]


@functools.cache
def _gallery() -> Gallery:
    """The pictures of a replay: what a photo costs to render depends on which picture of the gallery it is."""
    return Gallery(Config().photo_seed)


def mixed(size: int) -> list[bytes]:
    """Bodies of pairs whose photos have this size on average, and differ as those of a burst do.

    A gallery has a picture for each step of bytes, and a step has twice the pixels of another: pairs that are all alike
    cost what their step costs, a mixture what pairs of about this size cost.
    """
    middles = [(2 * n + 1) / (2 * PAIRS) for n in range(PAIRS)]
    shares = [math.exp(SIGMA * statistics.NormalDist().inv_cdf(middle)) for middle in middles]
    sizes = [int(size * share * PAIRS / sum(shares)) for share in shares]
    sides = [
        (_gallery().photo(str(n), "front", one), _gallery().photo(str(n), "back", sizes[(TURN * n + 1) % PAIRS]))
        for n, one in enumerate(sizes)
    ]
    return [multipart(*pair) for pair in sides]


async def connected(port: int, context: ssl.SSLContext | None = None) -> Phone:
    """A new connection, with TLS if there is a context."""
    name = "lb.example" if context else None
    loop = asyncio.get_running_loop()
    _, phone = await loop.create_connection(Phone, "127.0.0.1", port, ssl=context, server_hostname=name)
    return phone


def head(stack: Stack, moment_id: str, user: str, length: int) -> bytes:
    """The head of an upload."""
    bearer = stack.headers(user)["Authorization"]
    return (
        f"POST /v1/moments/{moment_id}/posts HTTP/1.1\r\nHost: lb.example\r\nUser-Agent: phone/1.0 (iOS 17)\r\n"
        f"Accept: */*\r\nAuthorization: {bearer}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def upload(phone: Phone, opening: bytes, body: bytes, *, paced: bool) -> str:
    """Send one pair; the post's id. PhoneError if it was not accepted."""
    if not paced:
        return _id(await phone.post([opening, body]))
    loop = asyncio.get_running_loop()
    answered = loop.create_task(phone.post([opening]), name="answer")
    await asyncio.sleep(0)  # the head is written
    began = loop.time()
    try:
        for at in range(0, len(body), PIECE_BYTES):
            if at and (wait_s := began + at / UPLINK_BYTES_S - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            if answered.done():
                break  # an early answer: awaiting it says which
            phone.transport.write(body[at : at + PIECE_BYTES])
        return _id(await answered)
    finally:
        answered.cancel()


def _id(answer: bytes) -> str:
    found = LOCATION.search(answer)
    if found is None:
        raise PhoneError(f"an acceptance without a Location: {answer[:300]!r}")
    return found[1].decode()


async def send(
    stack: Stack, moment_id: str, pairs: Sequence[bytes], count: int, *, tls: bool = False, at_once: int = CONNECTIONS
) -> tuple[Sent, ...]:
    """Send `count` pairs, each over a connection of its own and at an uplink's pace, so many at once."""
    port, context = (stack.ports["lb_tls"], stack.context) if tls else (stack.ports["lb"], None)
    left, done = iter(range(count)), list[Sent]()

    async def phone_after_phone() -> None:
        for number in left:
            user = f"user-{next(USERS)}"
            # A new one for each upload: a phone in a burst has none open.
            phone = await connected(port, context)
            try:
                body = pairs[number % len(pairs)]
                opening = head(stack, moment_id, user, len(body))
                done.append(Sent(user, await upload(phone, opening, body, paced=True)))
            finally:
                phone.transport.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(phone_after_phone())
    return tuple(done)


async def alone(
    stack: Stack, moment_id: str, pairs: Sequence[bytes], count: int, each: Callable[[], None]
) -> tuple[Sent, ...]:
    """One pair after the other, so that what each one costs can be told apart; `each` is called after each."""
    done = []
    for number in range(count):
        user, body = f"user-{next(USERS)}", pairs[number % len(pairs)]
        phone = await connected(stack.ports["lb"])
        done.append(Sent(user, await upload(phone, head(stack, moment_id, user, len(body)), body, paced=False)))
        phone.transport.close()
        each()
    return tuple(done)


async def view(stack: Stack, posts: Sequence[Sent], picture: str, count: int, *, tls: bool = False) -> int:
    """Read a picture of so many posts over a few kept connections; the mean bytes of an answer."""
    left, total = iter(range(count)), 0
    port, context = (stack.ports["lb_tls"], stack.context) if tls else (stack.ports["lb"], None)

    async def viewer(numbers: Iterator[int]) -> None:
        nonlocal total
        phone = await connected(port, context)
        for number in numbers:
            post = posts[number % len(posts)]
            bearer = stack.headers(post.user)["Authorization"]
            request = f"GET /v1/posts/{post.post_id}/photos/{picture} HTTP/1.1\r\nHost: lb.example\r\n"
            total += len(await phone.post([f"{request}Authorization: {bearer}\r\n\r\n".encode()], status=200))
        phone.transport.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(viewer(left))
    return total // count
