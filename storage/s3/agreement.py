"""Tests whether the endpoints of a store agree on what exists: what one created, no other one creates again.

A MinIO that reads an object looks at the drives that it sees. If it sees fewer than half of those that have the object,
it says that there is none, although a PUT with `If-None-Match: *` then succeeds on the drives that it sees: in a set of
three hosts with two drives each, a member that reaches one other member overwrites what the third one just created.
Members that were restarted are like this for some seconds to a minute, and say that they are healthy. Seen with six
drives on three hosts; with one drive on each of four hosts, half of the copies are always seen.

Every object that is created here is removed. `Objects` sends the requests.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

from .. import keys
from .endpoint import Endpoint

# A store of several erasure sets places each key in one of them: so that several are tested.
ROUNDS: Final = 3
_EXISTS: Final = "PreconditionFailed"

# At this endpoint, PUT an object with `If-None-Match: *`, or DELETE a version of it: S3's error code, and the version.
Ask = Callable[[Endpoint, Literal["PUT", "DELETE"], str, str], Awaitable[tuple[str, str]]]


async def apart(ask: Ask, endpoints: Sequence[Endpoint]) -> str:
    """Which endpoints do not agree, as text; empty if all do."""
    for _ in range(ROUNDS):
        for found in await asyncio.gather(*(_apart(ask, one, endpoints) for one in endpoints)):
            if found:
                return found
    return ""


async def _apart(ask: Ask, creator: Endpoint, endpoints: Sequence[Endpoint]) -> str:
    """Which endpoint does not see what this one creates, as text; empty if all see it."""
    key, versions = keys.probe(secrets.token_hex(8)), set[str]()
    try:
        for number, one in enumerate([creator, *endpoints]):
            code, version = await ask(one, "PUT", key, "")
            if not code:
                versions.add(version)
            if number and not code:
                return f"{one.url} does not see what {creator.url} wrote"
            if code and not (number and code == _EXISTS):
                return f"{one.url} answered {code}"
    except OSError as error:
        return f"{one.url}: {error}"
    finally:
        with contextlib.suppress(OSError):
            for version in versions:
                await ask(creator, "DELETE", key, version)
    return ""
