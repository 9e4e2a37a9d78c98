"""The files of a plan: all or none."""

from pathlib import Path

import pytest

from bench.capacity.files import NAMES, WriteError, write


def test_the_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    """Into a folder that need not be there; again over the old ones."""
    for content in (b"old", b"new"):
        write(tmp_path / "a" / "b", dict.fromkeys(NAMES, content))
    assert {path.name: path.read_bytes() for path in (tmp_path / "a" / "b").iterdir()} == dict.fromkeys(NAMES, b"new")


def test_when_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    """The second one is a folder; a file in the place of the folder."""
    (tmp_path / NAMES[1]).mkdir()
    with pytest.raises(WriteError, match="is a folder"):
        write(tmp_path, dict.fromkeys(NAMES, b"x"))
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]
    (tmp_path / "file").write_text("kept")
    with pytest.raises(WriteError, match="file"):
        write(tmp_path / "file", {"plan.json": b"x"})
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    """With the parents that were made; one that was there stays."""
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "there", tmp_path / "there" / "a" / "b"):
        with pytest.raises(WriteError, match="too long"):
            write(folder, {"plan.json": b"x", "x" * 300: b"x"})
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
