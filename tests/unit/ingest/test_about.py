"""ingest.about: what a node tells of itself."""

import json

from aiohttp.test_utils import make_mocked_request

from ingest.about import about_page, files_needed
from ingest.config import Config
from lb.config import Config as BalancerConfig
from lb.private_paths import PrivatePaths
from storage.config import Config as StorageConfig

SECRET = "a-secret-of-at-least-thirty-two-bytes"
OTHER = "another-secret-of-thirty-two-bytes-or-more"


async def told(config: Config, storage: StorageConfig) -> tuple[dict, str]:
    """The page."""
    answer = await about_page(config, storage)(make_mocked_request("GET", "/aboutz"))
    return json.loads(answer.body), answer.body.decode()


async def test_it_tells_limits_addresses_and_fingerprints() -> None:
    """No secret and no credentials, in no field."""
    config = Config(auth_secret=SECRET, auth_secret_previous=OTHER, link_secret="l" * 32, weight=7)
    storage = StorageConfig(
        store_url="file:///s", redis_url="redis://:hidden@h:1/0", shard_urls="redis://:hidden@h:2/0"
    )

    found, text = await told(config, storage)

    assert (found["program"], set(found["code"])) == ("node", {"ingest", "storage"})
    assert found["settings"]["SNAPSURGE_INGEST_PHOTO_BYTES_MAX"] == "16777216"
    assert found["settings"]["SNAPSURGE_REDIS_URL"] == "h:1/0"
    assert found["settings"]["SNAPSURGE_SHARD_URLS"] == "h:2/0"
    assert "SNAPSURGE_INGEST_WEIGHT" not in found["settings"]
    assert {name: len(prints) for name, prints in found["secrets"].items()} == {
        "SNAPSURGE_AUTH_SECRET": 2,
        "SNAPSURGE_INGEST_LINK_SECRET": 1,
        "SNAPSURGE_INGEST_STAMP_SECRET": 0,
    }
    assert found["weak"] == []
    assert not [word for word in ("hidden", SECRET, OTHER, "l" * 32) if word in text]


async def test_development_secrets_are_weak() -> None:
    """By their mark."""
    found, _ = await told(Config(auth_secret=f"{SECRET}-not-for-production"), StorageConfig(store_url="file:///s"))

    assert found["weak"] == ["SNAPSURGE_AUTH_SECRET"]


def test_each_upload_needs_a_descriptor() -> None:
    """And each Redis its connections."""
    few, more = (Config(auth_secret=SECRET, in_flight_requests_max=count) for count in (10, 11))
    one, two = StorageConfig(), StorageConfig(shard_urls="redis://a,redis://b")

    assert files_needed(more, one) - files_needed(few, one) == 1
    assert files_needed(few, two) - files_needed(few, one) == 2 * one.redis_connections_max


def test_balancers_hide_it_from_clients() -> None:
    """By default."""
    assert PrivatePaths(BalancerConfig().private_paths).hide(b"/aboutz")
