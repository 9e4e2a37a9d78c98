"""Rotates the log files of a stack, so that they do not fill the disk.

Each log file has a second, older one, and both have a limit.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_S: Final = 10.0
# A node writes 160 KiB a second in a burst: seven minutes of bursts in both files.
BYTES_MAX: Final = 64 * 1024 * 1024
ENDING: Final = ".1"


def rotate(folder: Path, bytes_max: int = BYTES_MAX) -> list[str]:
    """Rotate the files of this folder that are over the limit; returns their names. The first error, after all."""
    names, errors = [], list[OSError]()
    for path in sorted(folder.glob("*.log")):
        try:
            if path.stat().st_size > bytes_max:
                _rotate_one(path)
                names.append(path.name)
        # The files after this one are rotated all the same; the error is raised at the end.
        except OSError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return names


def _rotate_one(path: Path) -> None:
    older = path.with_name(path.name + ENDING)
    older.unlink(missing_ok=True)  # before the copy, because a full disk may have no other room for it
    # The programs keep their files open to append, so a rename would take the output along. A line that is written
    # between copy and truncation is lost, which is a matter of microseconds in 64 MiB.
    shutil.copyfile(path, older)
    with path.open("r+b") as file:
        file.truncate(0)


async def rotating(folder: Path, say: Callable[[str], None]) -> None:
    """Rotate now and then, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(rotate, folder)
        except OSError as error:
            say(f"log files in {folder} cannot be rotated: {error}; make room, they grow")
