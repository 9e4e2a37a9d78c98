"""The hash of the code that was measured: figures of other code are figures of another program."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MEASURED: Final = ("lb", "ingest", "processors", "storage")


def digest(root: Path = ROOT, folders: Sequence[str] = MEASURED) -> str:
    """SHA-256 over names and contents of all Python files of these folders, in the order of their names; 16 digits."""
    whole = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()[:16]
