"""bench.peers.renderers: each peer makes what we make, so that the race is over one course."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from bench.peers.renderers import main


@pytest.mark.parametrize("peer", ["vips", "pillow"])
def test_a_peer_makes_three_upright_bare_jpegs(peer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes as ours, turned as EXIF says, baseline 4:2:0, nothing of the metadata."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret"
    buffer = io.BytesIO()
    Image.new("RGB", (2400, 1200), "teal").save(buffer, "JPEG", exif=exif)
    (tmp_path / "photo").write_bytes(buffer.getvalue())

    code = main([peer, str(tmp_path), str(tmp_path / "photo"), "--times", "1"])
    if code == 3:
        pytest.skip(f"{peer} is not installed")

    assert len(json.loads(capsys.readouterr().out)["cpu_ms"]) == 1
    for name, size in {"full": (1000, 2000), "feed": (540, 1080), "thumb": (160, 320)}.items():
        data = (tmp_path / f"{name}.jpg").read_bytes()
        image = Image.open(io.BytesIO(data))
        assert (image.size, image.layer[0][1:3], image.info.get("progressive")) == (size, (2, 2), None)
        assert b"secret" not in data
