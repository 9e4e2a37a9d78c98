"""Writes the files of a plan: all of them or none, each replaced as a whole."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..files import WriteError, folder_made

NAMES: Final = ("plan.json", "ladder.json", "quotas.md", "fleet.json")


def write(folder: Path, texts: Mapping[str, bytes]) -> None:
    """Put the texts into the folder, which is made if it is not there; WriteError, and no file is changed."""
    try:
        # In the folder itself, because a rename does not leave its file system.
        with folder_made(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".plan-") as aside:
            made = {name: Path(aside) / name for name in texts}
            for name, path in made.items():
                path.write_bytes(texts[name])
                # Looked at before the first rename: it would fail in the middle, with half of the files new.
                if (folder / name).is_dir():
                    raise WriteError(f"{folder / name} is a folder")
            for name, path in made.items():
                path.replace(folder / name)
    except OSError as error:
        raise WriteError(f"{folder}: {error.strerror}") from error
