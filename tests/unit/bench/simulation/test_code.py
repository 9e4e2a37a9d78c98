"""The hash of the code."""

from pathlib import Path

from bench.simulation.code import ROOT, SOURCES, code_hash


def test_the_hash_is_of_names_and_contents() -> None:
    """Every source matters, files and folders alike, and nothing else does."""
    assert code_hash() == code_hash(SOURCES)
    assert len({code_hash([source]) for source in SOURCES}) == len(SOURCES)
    assert code_hash(["ingest/commits.py"]) != code_hash(["ingest/places.py"])
    assert all((ROOT / source).is_dir() for source in SOURCES)


def test_it_follows_content_and_names_and_nothing_else(tmp_path: Path) -> None:
    """A changed byte, a changed name; no file that is not Python."""
    (tmp_path / "lb").mkdir()
    (tmp_path / "lb" / "a.py").write_text("x = 1")
    first = code_hash(["lb"], tmp_path)
    (tmp_path / "lb" / "README.md").write_text("text")
    assert code_hash(["lb"], tmp_path) == first
    (tmp_path / "lb" / "a.py").write_text("x = 2")
    second = code_hash(["lb"], tmp_path)
    (tmp_path / "lb" / "a.py").rename(tmp_path / "lb" / "b.py")
    assert len({first, second, code_hash(["lb"], tmp_path)}) == 3
