"""The locustfile, in a process of its own because locust patches the standard library."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer

from tests.unit.bench.fake_service import FakeService

ROOT = Path(__file__).resolve().parents[3]


class CountingService(FakeService):
    """Says when two posts are stored."""

    enough: asyncio.Event

    def store(self, *args: Any) -> dict[str, Any]:
        """As the fake does."""
        post = super().store(*args)
        if len(self.posts) >= 2:
            self.enough.set()
        return post


async def locust(*options: str) -> asyncio.subprocess.Process:
    """A locust on its way."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", "bench/locustfile.py", *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_locust_finds_the_phones() -> None:
    """`locust -f bench/locustfile.py` loads it by path, outside the package."""
    process = await locust("--list")
    output, _ = await process.communicate()

    assert process.returncode == 0, output
    assert b"Phones" in output


async def test_phones_post_pairs_to_a_moment_of_their_own() -> None:
    """Each pair is accepted, and a user posts once; SIGTERM ends it well."""
    fake = CountingService()
    fake.enough = asyncio.Event()
    async with fake.server() as server:
        assert isinstance(server, TestServer)
        host = str(server.make_url("")).rstrip("/")
        process = await locust("--headless", "-u", "2", "-r", "2", "-t", "60s", "--host", host, "--only-summary")
        await fake.enough.wait()
        process.terminate()
        output, _ = await process.communicate()

    assert process.returncode == 0, output
    assert all(set(post["photos"]) == {"front", "back"} for post in fake.posts.values())
    assert len({post["user_id"] for post in fake.posts.values()}) == len(fake.posts)
