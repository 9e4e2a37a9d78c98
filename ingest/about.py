"""What a node tells of itself at `/aboutz`, which balancers hide from clients: `storage/about.py` says what and why."""

from pathlib import Path
from typing import Final

from aiohttp import web

from storage.about import About, code_of, files_max, fingerprints, now_ms, settings_text
from storage.config import Config as StorageConfig
from storage.opening import addresses

from .answering import Handler
from .config import DEVELOPMENT_MARK, Config
from .views import json_answer

# Settings that may differ from node to node, and those that are told in another form.
OWN: Final = ("weight", "zone")
HIDDEN: Final = ("auth_secret", "auth_secret_previous", "link_secret", "stamp_secret")
FILES_SPARE: Final = 256  # Listening sockets, the file store's folders, long polls, Python's own.


def secrets_of(config: Config) -> dict[str, tuple[bytes, ...]]:
    """The secrets by the name of their setting: the one that signs, then the others that are accepted."""
    tokens = (config.auth_secret.encode(), config.auth_secret_previous.encode())
    return {
        "SNAPSURGE_AUTH_SECRET": tuple(secret for secret in tokens if secret),
        "SNAPSURGE_INGEST_LINK_SECRET": config.link_secrets,
        "SNAPSURGE_INGEST_STAMP_SECRET": config.stamp_secrets,
    }


def files_needed(config: Config, storage_config: StorageConfig) -> int:
    """One for each upload and each read in progress, and the connections to the store and to every Redis."""
    redis = 1 + len([url for url in storage_config.shard_urls.split(",") if url.strip()])
    others = storage_config.s3_connections_max + redis * storage_config.redis_connections_max
    return config.in_flight_requests_max + config.reads_max + others + FILES_SPARE


def about_page(config: Config, storage_config: StorageConfig) -> Handler:
    """The handler of the call."""
    secrets = secrets_of(config)
    code = {name: code_of(Path(__file__).resolve().parents[1] / name) for name in ("ingest", "storage")}
    settings = settings_text(config, without=OWN + HIDDEN) | addresses(storage_config)
    weak = [name for name, given in secrets.items() if any(DEVELOPMENT_MARK.encode() in one for one in given)]

    async def about(_: web.Request) -> web.Response:
        return json_answer(
            About(
                program="node",
                code=code,
                settings=settings,
                secrets={name: fingerprints(given) for name, given in secrets.items()},
                weak=weak,
                files_max=files_max(),
                files_needed=files_needed(config, storage_config),
                now_ms=now_ms(),
            )
        )

    return about
