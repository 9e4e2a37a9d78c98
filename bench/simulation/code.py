"""The hash of the code that was measured or simulated: figures of other code are figures of another program.

It does not import numba, which takes half a second.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ("lb", "ingest", "processors", "storage")
SOURCES: Final = (*PROGRAMS, "bench/simulation")


def code_hash(sources: Iterable[str] = SOURCES, root: Path = ROOT) -> str:
    """SHA-256 of names and contents of all source of the programs and the simulation, or of these folders and files."""
    found = hashlib.sha256()
    for source in sources:
        for path in sorted((root / source).rglob("*.py")) or [root / source]:
            content = path.read_bytes()
            found.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()
