"""A lack of file descriptors never makes a good photo invalid: what Pillow loads lazily is loaded at start."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF")
# The process reads the photo, cannot open any file from then on, and checks its first photo.
NODE = (
    "from ingest.body.photos import inspect\nfrom storage.photo.formats import Limits\n"
    "def judge(data): inspect('front', memoryview(data), '0' * 64, Limits())"
)
WORKER = "from processors.render.images import render\ndef judge(data): render(data, data)"
THEN = """
import resource, sys
data = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
try:
    open("/dev/null")
except OSError as error:
    print(error.strerror)
judge(data)
print("good")
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("judge", [NODE, WORKER], ids=["node", "worker"])
def test_a_good_photo_is_good_without_a_descriptor_to_spare(judge: str, kind: str) -> None:
    """The first photo of a process is accepted without a free descriptor, in each format."""
    register_heif_opener()
    photo = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(photo, kind, exif=Image.Exif().tobytes())

    command = [sys.executable, "-c", judge + THEN]
    done = subprocess.run(command, cwd=ROOT, input=photo.getvalue(), capture_output=True, check=False)

    assert done.stdout.decode().splitlines() == ["Too many open files", "good"], done.stderr.decode()[-2000:]
