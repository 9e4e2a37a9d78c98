"""processors.about: what a worker or an autoscaler tells of itself."""

import aiohttp

from processors.about import about_view
from processors.config import Config
from processors.metrics import Metrics, exposed
from storage.config import Config as StorageConfig


async def test_a_listener_tells_code_limits_and_addresses() -> None:
    """Beside `/metrics`; no credentials."""
    storage = StorageConfig(store_url="file:///s", redis_url="redis://:hidden@h:1/0")
    views = about_view("worker", Config(jobs_max=3), storage)

    async with (
        exposed(("127.0.0.1", 0), Metrics().registry, views) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/aboutz") as answer,
    ):
        found, text = await answer.json(), await answer.text()

    assert (found["program"], set(found["code"])) == ("worker", {"processors", "storage"})
    assert found["settings"]["SNAPSURGE_PROCESSORS_JOBS_MAX"] == "3"
    assert found["settings"]["SNAPSURGE_REDIS_URL"] == "h:1/0"
    assert "SNAPSURGE_PROCESSORS_LISTEN" not in found["settings"]
    assert "hidden" not in text
