"""What a worker or an autoscaler tells of itself at `/aboutz` of its listener: `storage/about.py` says what and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from storage.about import PATH, About, code_of, files_max, now_ms, settings_text
from storage.config import Config as StorageConfig
from storage.opening import addresses

from .config import Config
from .metrics import View

OWN: Final = ("listen", "autoscaler_listen")  # Settings that may differ from process to process.
FILES_NEEDED: Final = 256  # A worker's jobs, its connections to store and Redis, and its render process.


def about_view(
    program: Literal["worker", "autoscaler"], config: Config, storage_config: StorageConfig
) -> dict[str, View]:
    """The view, for `metrics.exposed`."""
    root = Path(__file__).resolve().parents[1]
    code = {name: code_of(root / name) for name in ("processors", "storage")}
    settings = settings_text(config, without=OWN) | addresses(storage_config)

    async def about(_: Mapping[str, str]) -> About:
        return About(
            program=program,
            code=code,
            settings=settings,
            secrets={},
            weak=[],
            files_max=files_max(),
            files_needed=FILES_NEEDED,
            now_ms=now_ms(),
        )

    return {PATH: about}
