"""Hostile photos at a real worker: each post ready or rejected with a reason, and the worker still the same process."""

import asyncio
import io
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from ingest.body.photos import BadPhoto, NotAPhoto, inspect
from storage import intake, keys, media
from storage.blobs import BlobMissing
from storage.photo.formats import Limits
from storage.queue.jobs import Queue, jobs_of
from storage.records import Photo, Photos, Post, Receipt, from_ms, to_ms
from storage.zips import TAIL_BYTES
from tests.e2e.test_processors_harness import Stack, photo, running, until

pytestmark = pytest.mark.e2e

GOOD = photo(120, 160)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file of this format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, colour: int, pixels: bytes) -> bytes:
    """A PNG of this header around these pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    )


def hostile() -> dict[str, tuple[bytes, str]]:
    """Photos by name, each with the reason it is rejected for, or nothing."""
    register_heif_opener()
    small = Image.effect_noise((120, 160), 60).convert("RGB")
    scans = written(small, "JPEG", progressive=True)
    last = scans[scans.rfind(b"\xff\xda") : -2]
    return {
        "50 MP with alpha in 50 KB": (png(7000, 7100, 6, bytes((1 + 4 * 7000) * 7100)), ""),
        "a bomb": (png(12_000, 12_000, 6, bytes(1000)), "megapixels"),
        "a WebP larger than its decoder may be": (written(Image.new("RGB", (7000, 6000)), "WEBP", method=0), "39.5"),
        "a thousand scans": (scans[:-2] + last * 1000 + scans[-2:], "scans"),
        "half a JPEG": (GOOD[: len(GOOD) // 2], "cut off"),
        "CMYK": (written(small.convert("CMYK"), "JPEG"), ""),
        "HEIC": (written(small, "HEIF"), ""),
        "no photo": (b"GIF89a" + bytes(100), "not a JPEG, PNG, WebP, HEIC or AVIF image"),
        "good": (GOOD, ""),
    }


async def posted(stack: Stack, name: str, front: bytes, seen: Photo | None = None, back: bytes = GOOD) -> str:
    """Accept this front with a good back, past the node's checks, as a node that saw `seen`; the post's id."""
    assert stack.moment
    shot = Photo(sha256="0" * 64, bytes=1, width=120, height=160, format="jpeg")
    seen = seen or inspected(front, shot)
    receipt = Receipt(
        id=keys.post_id(stack.moment.id, name),
        moment_id=stack.moment.id,
        user_id=name,
        received_at=from_ms(to_ms(stack.moment.fires_at) + 1),
        closes_at=stack.moment.closes_at,
        request_id=name,
        photos=Photos(front=seen, back=shot),
    )
    await stack.store.create(keys.intake(stack.moment.id, receipt.id), *intake.pack(receipt, front, back))
    await Queue(stack.redis).enqueue(jobs_of(stack.moment.id, receipt.id))
    return receipt.id


def inspected(photo: bytes, otherwise: Photo) -> Photo:
    """What a node says of a photo that it takes; of one that it would refuse, something else."""
    try:
        return inspect("front", memoryview(photo), "0" * 64, Limits())
    except (BadPhoto, NotAPhoto):
        return otherwise


async def record(stack: Stack, post_id: str) -> Post | None:
    """The post's record, None while there is none."""
    assert stack.moment
    try:
        return media.record_in((await stack.store.read_tail(keys.media(stack.moment.id, post_id), TAIL_BYTES)).body)
    except BlobMissing:
        return None


async def test_no_photo_kills_a_worker(stack: Stack) -> None:
    """One worker ends them all, the largest included, within its bound of memory, and is there afterwards."""
    photos = await asyncio.to_thread(hostile)
    posts = {name: await posted(stack, name, front) for name, (front, _) in photos.items()}
    worker = stack.start()

    async def all_ended() -> bool:
        assert worker.poll() is None, stack.log()
        return None not in [await record(stack, one) for one in posts.values()]

    await until(all_ended, stack.log)

    for name, (_, reason) in photos.items():
        post = await record(stack, posts[name])
        assert post
        assert post.state == ("rejected" if reason else "ready"), (name, post.reason)
        assert (reason in post.reason) if post.reason else not reason, (name, post.reason)
    limits = Path(f"/proc/{worker.pid}/limits")
    assert not limits.exists() or limits.read_text().partition("Max data size")[2].split()[0].isdecimal()
    worker.terminate()
    assert worker.wait(20) == 0
    assert "failed on try" not in stack.log()
