"""The hash of the code that a simulation's result depends on; without numba, which takes half a second to import."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = ("lb", "ingest", "processors", "storage", "bench/simulation")


def code_hash(sources: Iterable[str] = SOURCES) -> str:
    """SHA-256 of all source of the four programs and of the simulation itself, or of these folders and files."""
    found = hashlib.sha256()
    for source in sources:
        for path in sorted((ROOT / source).rglob("*.py")) or [ROOT / source]:
            found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
