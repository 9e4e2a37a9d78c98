"""bench.peers.textbook: takes a pair, stores two objects, queues two jobs; refuses a bad token."""

import io
import sys
import time
from pathlib import Path

from PIL import Image

from bench.client import BOUNDARY, multipart, token
from bench.peers import backing, started, textbook
from bench.peers.phone import connected

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
