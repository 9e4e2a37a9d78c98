"""What is in a store, seen on its disk: how many pairs are rendered is known without a request to any tier."""

import itertools
import math
import statistics
import zipfile
from pathlib import Path
from typing import Final

import msgspec

OBJECTS: Final = "*/{kind}/{moment}/*.zip"  # a black box otherwise: storage/README.md has the names of stored things


class Object(msgspec.Struct, frozen=True):
    """When an object was stored (unix seconds), and its bytes (of a file store)."""

    at: float
    bytes: int


def objects(root: Path, kind: str, moment_id: str) -> list[Object]:
    """The `intake` or `media` objects of a moment, in the order in which they were stored."""
    found = []
    # A file store has a file for each object, MinIO a folder of the same name, so one pattern fits both.
    for path in root.glob(OBJECTS.format(kind=kind, moment=moment_id)):
        stat = path.stat()
        # The time at which an entry was changed is when its media object was stored.
        found.append(Object(stat.st_mtime, stat.st_size))
    return sorted(found, key=lambda one: one.at)


def gaps_s(found: list[Object]) -> list[float]:
    """Seconds between two objects that were stored one after the other: the time of one worker for a pair."""
    times = [one.at for one in found]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def mean_bytes(found: list[Object]) -> float:
    """The mean size; NaN without objects."""
    return sum(one.bytes for one in found) / len(found) if found else math.nan


def full_bytes(root: Path, moment_id: str) -> float:
    """The mean bytes of `full` renditions in a moment's media objects; 0 without objects, and of MinIO's folders."""
    found = [path for path in root.glob(OBJECTS.format(kind="media", moment=moment_id)) if path.is_file()]
    return statistics.fmean(sum(one.file_size for one in _entries(path)) for path in found) if found else 0.0


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return [one for one in archive.infolist() if one.filename.endswith("-full.jpg")]
