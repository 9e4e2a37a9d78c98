"""storage.about: what a program tells of itself, and what it does not. lb/about.py is the same text."""

import hashlib
import hmac
from pathlib import Path

import msgspec

from storage.about import code_of, files_max, fingerprints, now_ms, settings_text


class Settings(msgspec.Struct, frozen=True, rename=lambda name: f"X_{name.upper()}"):
    """Two settings and a secret."""

    limit: int = 3
    text: str = "t"
    secret: str = "hidden"


def test_settings_are_told_without_secrets() -> None:
    """By their names in the environment."""
    assert settings_text(Settings(), without=("secret",)) == {"X_LIMIT": "3", "X_TEXT": "t"}


def test_a_fingerprint_is_a_mac_by_the_secret() -> None:
    """The same secret has the same one, in order; it is 64 bits of a MAC, from which no secret follows."""
    one, other, again = fingerprints([b"first", b"second", b"first"])

    assert one == again != other
    assert one == hmac.new(b"first", b"snapsurge about", hashlib.sha256).hexdigest()[:16]


def test_any_change_of_the_source_changes_the_code(tmp_path: Path) -> None:
    """A byte, a name, a file; what is no source does not count."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("1")
    found = [code_of(tmp_path)]
    (tmp_path / "notes.txt").write_text("x")
    assert code_of(tmp_path) == found[0]
    for change in (
        lambda: (tmp_path / "room" / "a.py").write_text("2"),
        lambda: (tmp_path / "room" / "a.py").rename(tmp_path / "room" / "b.py"),
        lambda: (tmp_path / "c.py").write_text(""),
    ):
        change()
        found.append(code_of(tmp_path))

    assert len(set(found)) == len(found)
    assert all(len(digest) == 12 for digest in found)


def test_clock_and_descriptors_are_this_process() -> None:
    """Milliseconds of this century, and a limit that there is."""
    assert 1_700_000_000_000 < now_ms() < 4_102_444_800_000
    assert files_max() > 0
