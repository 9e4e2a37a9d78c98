"""What `make bench-worst` hears of a photo: its cost, its refusal, its budget."""

import subprocess
import sys
from pathlib import Path

import msgspec

from processors.render.weigh import Weight, weighed
from tests.unit.processors.render.test_decoding import PICTURE, written

ROOT = Path(__file__).parents[4]


def test_a_photo_is_weighed_or_refused() -> None:
    """A small one costs less than its budget; what is none costs nothing."""
    good = weighed(written(PICTURE), 60)
    assert good.refused == ""
    assert 0 < good.cpu_s < good.budget_s
    assert "not a JPEG" in weighed(b"GIF89a", 60).refused


def test_a_line_of_json_a_path(tmp_path: Path) -> None:
    """As the bench asks; the end of standard input ends it."""
    (tmp_path / "photo").write_bytes(written(PICTURE))
    done = subprocess.run(
        [sys.executable, "-m", "processors.render.weigh"],
        input=f"{tmp_path / 'photo'}\n" * 2,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )

    assert len([msgspec.json.decode(line, type=Weight) for line in done.stdout.splitlines()]) == 2
