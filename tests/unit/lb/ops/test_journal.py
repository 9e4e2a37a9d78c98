"""lb.ops.journal: rows reach their files, files can be moved away, a full one costs rows and not requests."""

import json
from pathlib import Path

import msgspec
import pytest

from lb.config import Config
from lb.ops import journal
from lb.ops.journal import File, Journal
from tests.unit.lb.relay.test_access import RECORD


class Noting:
    """All that a journal wants of a context."""

    note = None


def test_nothing_is_noted_unless_asked_for() -> None:
    """The hot path tests one attribute."""
    context = Noting()
    Journal(Config(), context)
    assert context.note is None


async def test_rows_reach_their_files_and_new_ones_after_a_reopen(tmp_path: Path) -> None:
    """Log and trace; a GET is no row of the trace; after a rotation both write to fresh files."""
    context, access, trace = Noting(), tmp_path / "access", tmp_path / "trace"
    made = Journal(Config(access_log=str(access), trace=str(trace), trace_secret="k"), context)
    context.note(RECORD)
    context.note(msgspec.structs.replace(RECORD, method=b"GET"))
    made.close()
    assert [json.loads(text)["method"] for text in access.read_text().splitlines()] == ["POST", "GET"]
    assert len(trace.read_text().splitlines()) == 1
    access.rename(tmp_path / "access.1")
    made.reopen()
    context.note(RECORD)
    made.close()
    assert len(access.read_text().splitlines()) == 1


def test_a_file_that_is_too_slow_loses_rows_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(journal, "ROWS_MAX", 2)
    file = File(str(tmp_path / "f"))
    for _ in range(3):
        file.add(b"x\n")
    file.flush()
    assert (file.dropped, (tmp_path / "f").read_bytes()) == (1, b"x\nx\n")
