"""The hash of the code."""

from pathlib import Path

from bench.capacity.code import digest


def test_it_follows_content_and_names_and_nothing_else(tmp_path: Path) -> None:
    """A changed byte, a changed name; no file that is not Python."""
    (tmp_path / "lb").mkdir()
    (tmp_path / "lb" / "a.py").write_text("x = 1")
    first = digest(tmp_path, ("lb",))
    (tmp_path / "lb" / "README.md").write_text("text")
    assert digest(tmp_path, ("lb",)) == first
    (tmp_path / "lb" / "a.py").write_text("x = 2")
    second = digest(tmp_path, ("lb",))
    (tmp_path / "lb" / "a.py").rename(tmp_path / "lb" / "b.py")
    assert len({first, second, digest(tmp_path, ("lb",))}) == 3


def test_the_project_has_one() -> None:
    """The same each time."""
    assert digest() == digest()
    assert len(digest()) == 16
