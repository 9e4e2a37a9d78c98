"""lb.about is the text of storage.about, see tests/contract/test_redis_addresses.py."""

from pathlib import Path

from lb.about import code_of

ROOT = Path(__file__).resolve().parents[3]


def test_the_balancers_own_code_is_known() -> None:
    """It has a digest, and another one than the nodes'."""
    assert code_of(ROOT / "lb") != code_of(ROOT / "ingest")
