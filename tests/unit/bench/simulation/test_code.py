"""The hash of the code."""

from bench.simulation.code import ROOT, SOURCES, code_hash


def test_the_hash_is_of_names_and_contents() -> None:
    """Every source matters, files and folders alike, and nothing else does."""
    assert code_hash() == code_hash(SOURCES)
    assert len({code_hash([source]) for source in SOURCES}) == len(SOURCES)
    assert code_hash(["ingest/commits.py"]) != code_hash(["ingest/places.py"])
    assert all((ROOT / source).is_dir() for source in SOURCES)
