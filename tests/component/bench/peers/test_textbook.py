"""bench.peers.textbook: takes a pair, stores two objects, makes eight; refuses a bad token."""

import asyncio
import io
import json
import sys
import time
from pathlib import Path

import aioboto3
from PIL import Image

from bench.client import BOUNDARY, multipart, token
from bench.peers import backing, started, textbook
from bench.peers.phone import Phone, connected
from bench.peers.textbook import renditions

SECRET = "a-secret-for-tests-of-32-characters"


async def test_a_pair_is_taken_and_a_stranger_is_not(tmp_path: Path, redis_url: str, minio_url: str) -> None:
    """201 with a token of the secret, 401 with another's."""
    port, out = started.free_port(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG")
    body = multipart(out.getvalue(), out.getvalue())
    command = ["env", *backing.credentials(), sys.executable, "-m", textbook.__name__]
    with started.process([*command, str(port), minio_url, "textbook-test", redis_url, SECRET], port):
        for secret, status in ((SECRET, 201), ("another-secret-of-32-characters-or-so", 401)):
            phone = await connected(port)
            head = (
                f"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(secret, 'u', 'upload', time.time())}"
                f"\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            answer = await phone.post([head.encode(), body], status)
            assert (b'"state": "accepted"' in answer) == (status == 201)
            phone.transport.close()
            await phone.closed.wait()


async def test_the_worker_makes_a_pair_ready(tmp_path: Path, redis_url: str, minio_url: str) -> None:
    """Two objects become ten, and the server counts the pair."""
    port = started.free_port()
    command = ["env", *backing.credentials(), sys.executable, "-m", textbook.__name__]
    place = [minio_url, "textbook-worker", redis_url]
    with (
        started.process([*command, str(port), *place, SECRET], port),
        started.process([*command, "worker", *place], None),
    ):
        phone = await connected(port)
        before = await ready(phone)
        body = multipart(jpeg("red"), jpeg("blue"))
        head = (
            f"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(SECRET, 'u', 'upload', time.time())}"
            f"\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        post = json.loads((await phone.post([head.encode(), body])).partition(b"\r\n\r\n")[2])
        async with asyncio.timeout(100):
            while await ready(phone) == before:
                pass
        phone.transport.close()
    keys = await stored("textbook-worker", post["id"], minio_url)
    assert len(keys) == 10
    assert {"front.jpg", "back.jpg", "composite.jpg", "post.json"} <= keys


def test_seven_pictures_are_made() -> None:
    """Three of each photo, none enlarged, and the back one with the front one in its corner."""
    made = renditions(jpeg("red", 1200), jpeg("blue", 1200))
    assert len(made) == 7
    sizes = {name: Image.open(io.BytesIO(data)).width for name, data in made.items()}
    assert (sizes["front-thumb.jpg"], sizes["front-feed.jpg"], sizes["back-full.jpg"]) == (320, 1080, 1200)
    composite = Image.open(io.BytesIO(made["composite.jpg"]))
    red, _, blue = composite.getpixel((60, 60))  # type: ignore[misc] # an RGB picture
    assert red > blue
    red, _, blue = composite.getpixel((1000, 1000))  # type: ignore[misc] # the same
    assert blue > red


def jpeg(colour: str, side: int = 64) -> bytes:
    """A square photo of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "JPEG")
    return out.getvalue()


async def ready(phone: Phone) -> int:
    """How many pairs the server says are ready."""
    answer = await phone.post([b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"], 200)
    return int(json.loads(answer.partition(b"\r\n\r\n")[2])["ready"])


async def stored(bucket: str, post_id: str, endpoint: str) -> set[str]:
    """The names of a post's objects."""
    keys = {"aws_access_key_id": backing.USER, "aws_secret_access_key": backing.PASSWORD}
    async with aioboto3.Session().client("s3", endpoint_url=endpoint, region_name=backing.REGION, **keys) as s3:
        found = await s3.list_objects_v2(Bucket=bucket, Prefix=f"{post_id}/")
    return {entry["Key"].partition("/")[2] for entry in found["Contents"]}
