"""Peers of the test node, and what they read in its answers."""

import asyncio
from typing import Any

import jwt
import msgspec

from tests.resumable import Answer, Peer

SECRET = "a-secret-for-tests-of-32-characters"


def token(user: str, **claims: object) -> str:
    """A token that the test node accepts."""
    return jwt.encode({"sub": user, "scope": "upload"} | claims, SECRET, "HS256")


def peer(client: Any, version: str = "8", user: str = "alice") -> Peer:
    """A peer of this node."""
    return Peer(client.port, token(user), version)


def code(answer: Answer) -> str:
    """The code of a problem."""
    return str(msgspec.json.decode(answer.body)["code"])


async def gauges(client: Any, *names: str) -> list[float]:
    """These gauges of the node, read at once (a page is kept for a second)."""
    lines = (await client.call("GET", "/metrics")).raw.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return [float(values[f"snapsurge_ingest_{name}"]) for name in names]


def said(answer: Answer, version: str) -> bool:
    """Whether the upload is said to be complete, in the field of the version."""
    return answer.fields["upload-incomplete"] == "?0" if version == "3" else answer.fields["upload-complete"] == "?1"


async def arrived(client: Any, count: int) -> None:
    """Return when the node holds so many bytes of uploads (its page is made anew each second)."""
    async with asyncio.timeout(60):
        while await gauges(client, "held_bytes") != [count]:
            pass
