"""What a person sees of a stack that is ready."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import jwt
from PIL import Image

from deploy.local import LocalStack
from deploy.up import sample_photos, welcome

Stand = Callable[[], AbstractAsyncContextManager[LocalStack]]


async def test_the_welcome_names_every_address_and_has_real_tokens(stand: Stand, tmp_path: Path) -> None:
    """What is pasted works: addresses of this stack, one token for ops, one for a phone."""
    async with stand() as local:
        shown = welcome(local, (tmp_path / "front.jpg", tmp_path / "back.jpg"), 1_800_000_000)
        record = local.record()

    for text in (record.balancers[0].url, record.balancers[0].admin, record.nodes[0].url, record.redis, record.store):
        assert text in shown
    tokens = re.findall(r"Bearer ([\w.-]+)", shown)
    scopes = [jwt.decode(text, options={"verify_signature": False})["scope"] for text in tokens]
    assert scopes == ["ops", "upload"]


def test_the_sample_photos_are_photos(tmp_path: Path) -> None:
    """Two different JPEGs of a size that a node accepts."""
    front, back = sample_photos(tmp_path)

    for path in (front, back):
        with Image.open(path) as photo:
            assert (photo.format, photo.size) == ("JPEG", (1200, 1600))
    assert front.read_bytes() != back.read_bytes()
