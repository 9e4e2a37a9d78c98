"""Tests whether the endpoints of a store keep conditional writes, together: nobody overwrites what one created.

A MinIO that reads an object looks at the drives that it sees. If it sees fewer than half of those that have the object,
it says that there is none, although a PUT with `If-None-Match: *` then succeeds on the drives that it sees: in a set of
three hosts with two drives each, a member that reaches one other member overwrites what the third one just created.
Members that were restarted are like this for some seconds to a minute, and say that they are healthy. Seen with six
drives on three hosts; with one drive on each of four hosts, half of the copies are always seen. Other programs may
answer at an address, too: a store that ignores `If-None-Match` or `If-Match`, or another store.

Every object that is created here is removed. `Objects` sends the requests.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, NamedTuple

from .. import keys
from .endpoint import Endpoint

# A store of several erasure sets places each key in one of them: so that several are tested.
ROUNDS: Final = 3
_REFUSED: Final = "PreconditionFailed"

# PUT an object that must be new, PUT it with the entity tag of another one, or DELETE a version of it.
What = Literal["create", "swap", "remove"]
# One of these requests to this endpoint, about a key and, to remove, a version: S3's error code, and the version.
# Raises OSError only.
Ask = Callable[[Endpoint, What, str, str], Awaitable[tuple[str, str]]]


class Finding(NamedTuple):
    """Why endpoints do not agree; empty if they do.

    `overwrote`: one took a PUT that it had to refuse; `broken` did so with what it had created itself.
    """

    why: str = ""
    overwrote: bool = False
    broken: Endpoint | None = None


async def apart(ask: Ask, endpoints: Sequence[Endpoint]) -> Finding:
    """Whether these endpoints agree; one that is `broken` is found before any other fault."""
    for _ in range(ROUNDS):
        found = await asyncio.gather(*(_apart(ask, one, endpoints) for one in endpoints))
        worst = max(found, key=lambda one: (one.broken is not None, one.overwrote, one.why))
        if worst.why:
            return worst
    return Finding()


async def _apart(ask: Ask, creator: Endpoint, endpoints: Sequence[Endpoint]) -> Finding:
    """Whether this endpoint and these others refuse to overwrite what it creates."""
    key, made = keys.probe(secrets.token_hex(8)), set[tuple[Endpoint, str]]()
    others = [one for one in endpoints if one is not creator]
    asked: list[tuple[Endpoint, What]] = [(creator, "create"), (creator, "create"), (creator, "swap")]
    asked += [(one, "create") for one in others]
    try:
        for number, (one, what) in enumerate(asked):
            code, version = await ask(one, what, key, "")
            if not code:
                made.add((one, version))
            if number and not code:
                return _overwrote(one, what, creator)
            if code and not (number and code == _REFUSED):
                return Finding(f"{one.url} answered {code}")
    except OSError as error:
        return Finding(f"{one.url}: {error}")
    finally:
        for one, version in made:  # each where it was made: another endpoint may be of another store
            with contextlib.suppress(OSError):
                await ask(one, "remove", key, version)
    return Finding()


def _overwrote(one: Endpoint, what: What, creator: Endpoint) -> Finding:
    if one is creator:
        field = "If-None-Match" if what == "create" else "If-Match"
        return Finding(f"{one.url} overwrote what it had just created: it ignores {field}", True, one)
    return Finding(
        f"{one.url} overwrote what {creator.url} had just created: either members do not see each other's drives yet, "
        "or it is of another store, or it ignores conditional writes",
        overwrote=True,
    )
