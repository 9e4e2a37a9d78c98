"""A real node on a real socket, over a real Redis and a file store; pairs to upload and tokens for them."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from PIL import Image
from redis.asyncio import Redis

from ingest.answering import Lifecycle, malformed
from ingest.app import node, server
from ingest.body.doorway import listening
from ingest.config import Config
from storage.config import Config as StorageConfig

SECRET = "a-secret-for-tests-of-32-characters"


def token(user: str, scope: str = "upload", **claims: Any) -> str:
    """A token that the test node accepts; `claims` can make it invalid."""
    return jwt.encode({"sub": user, "scope": scope} | claims, SECRET, "HS256")


def photo(colour: str = "teal", size: tuple[int, int] = (96, 128), kind: str = "JPEG") -> bytes:
    """A small photo of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """A form-data body with boundary `x`."""
    head = '--x\r\nContent-Disposition: form-data; name="{0}"; filename="{0}.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts) + b"--x--\r\n"


class Client:
    """A client of one node."""

    def __init__(self, session: aiohttp.ClientSession, port: int, root: Path, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.session = session
        self.port = port
        self.root = root

    async def call(self, method: str, path: str, user: str = "alice", scope: str = "upload", **options: Any) -> Any:
        """Send a request; returns the answer with its JSON body (or None) in `.body`."""
        headers = {"Authorization": f"Bearer {token(user, scope)}"} | options.pop("headers", {})
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, **options) as answer:
            raw = await answer.read()
            answer.raw = raw
            answer.body = await answer.json(content_type=None) if "json" in answer.content_type else None
            return answer

    async def moment(self, **wanted: Any) -> str:
        """Open a moment; returns its id. It fired a second ago: when a request's bytes arrived is known to 4 ms."""
        fired = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        body = {"region": "eu-west", "fires_at": fired} | wanted
        answer = await self.call("POST", "/v1/moments", "ops", "ops", json=body)
        assert answer.status == 201, answer.raw
        return str(answer.body["id"])

    async def upload(self, moment_id: str, user: str = "alice", body: Any = None, **options: Any) -> Any:
        """Upload a pair, or `body` in place of it; returns the answer."""
        headers = {"Content-Type": "multipart/form-data; boundary=x"} | options.pop("headers", {})
        data = multipart(("front", photo("teal")), ("back", photo("navy"))) if body is None else body
        if isinstance(data, bytes):
            data = io.BytesIO(data)
        return await self.call("POST", f"/v1/moments/{moment_id}/posts", user, data=data, headers=headers, **options)

    def objects(self, kind: str) -> list[Path]:
        """The paths of the stored intake or media objects."""
        return sorted(self.root.glob(f"*/{kind}/*/*.zip"))


@pytest.fixture
def make_client(tmp_path: Path, redis_url: str, redis: Redis) -> Callable[..., Any]:
    """Makes clients of nodes with the given settings."""

    @asynccontextmanager
    async def made(*, redis_address: str = redis_url, **changes: Any) -> AsyncIterator[Client]:
        config = Config(**({"auth_secret": SECRET, "announce_s": 0.0, "drain_s": 2.0} | changes))
        storage = StorageConfig(store_url=f"file://{tmp_path}/store", redis_url=redis_address)
        async with (
            node(config, storage) as running,
            listening(server(running.app, config), "127.0.0.1", 0, malformed) as listener,
            aiohttp.ClientSession() as session,
        ):
            port = listener.sockets[0].getsockname()[1]
            yield Client(session, port, tmp_path / "store", running.lifecycle)

    return made


@pytest.fixture
async def client(make_client: Callable[..., AbstractAsyncContextManager[Client]]) -> AsyncIterator[Client]:
    """A client of a node with the default test settings."""
    async with make_client() as made:
        yield made


@pytest.fixture
def upload_token() -> str:
    """A token for an upload."""
    return token("alice")


@pytest.fixture
def pair() -> bytes:
    """The body of a valid upload, with boundary `x`."""
    return multipart(("front", photo("teal")), ("back", photo("navy")))
