"""processors.render.measure: the figures of one photo, and the pictures they are of; no test asserts a duration."""

import io
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[4]


def test_figures_and_renditions(tmp_path: Path) -> None:
    """As many turns as asked for, memory of this process alone, three JPEGs in the folder."""
    buffer = io.BytesIO()
    Image.effect_noise((1200, 1600), 40).convert("RGB").save(buffer, "JPEG")
    (tmp_path / "photo").write_bytes(buffer.getvalue())
    command = [
        sys.executable,
        "-m",
        "processors.render.measure",
        str(tmp_path),
        str(tmp_path / "photo"),
        "--times",
        "2",
    ]

    said = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)

    assert len(said["cpu_ms"]) == len(said["pair_cpu_ms"]) == 2
    assert 0 < said["rss_idle_bytes"] <= said["rss_bytes"]
    sizes = {path.stem: Image.open(io.BytesIO(path.read_bytes())).size for path in tmp_path.glob("*.jpg")}
    assert sizes == {"full": (1200, 1600), "feed": (810, 1080), "thumb": (240, 320)}
