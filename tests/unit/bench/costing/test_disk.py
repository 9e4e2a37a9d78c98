"""Objects as they lie on the disk of a store."""

import math
import os
import zipfile
from pathlib import Path

from bench.costing.disk import full_bytes, gaps_s, mean_bytes, objects


def test_files_and_folders_of_a_moment_are_objects(tmp_path: Path) -> None:
    """As a file store and as MinIO have them, in the order of time; another moment's and another kind's are not."""
    for number, (name, folder) in enumerate([("ab", False), ("0f", True), ("cd", False)]):
        path = tmp_path / name / "media" / "m1" / f"post-{number}.zip"
        path.mkdir(parents=True) if folder else (path.parent.mkdir(parents=True), path.write_bytes(b"x" * 10))
        os.utime(path, (100 - number, 100 - number * number))
    for other in ("ab/media/m2", "ab/intake/m1"):
        (tmp_path / other).mkdir(parents=True)
        (tmp_path / other / "post.zip").write_bytes(b"")

    found = objects(tmp_path, "media", "m1")

    assert [one.at for one in found] == [96, 99, 100]
    assert gaps_s(found) == [3, 1]


def test_sizes_are_averaged(tmp_path: Path) -> None:
    """Of nothing there is no mean."""
    assert math.isnan(mean_bytes([]))
    (tmp_path / "ab" / "intake" / "m").mkdir(parents=True)
    for name, size in (("a", 10), ("b", 30)):
        (tmp_path / "ab" / "intake" / "m" / f"{name}.zip").write_bytes(bytes(size))
    assert mean_bytes(objects(tmp_path, "intake", "m")) == 20


def test_full_renditions_are_counted_by_their_names(tmp_path: Path) -> None:
    """Two of them in one of two objects; MinIO's folders have none that could be read."""
    folder = tmp_path / "ab" / "media" / "m"
    folder.mkdir(parents=True)
    assert full_bytes(tmp_path, "m") == 0
    for name, sizes in (("a", {"front-full.jpg": 10, "back-full.jpg": 20, "front-feed.jpg": 5}), ("b", {})):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for entry, size in sizes.items():
                archive.writestr(entry, bytes(size))
    (folder / "c.zip").mkdir()
    assert full_bytes(tmp_path, "m") == 15
