"""Upload a pair with aiohttp: python_aiohttp.py BASE MOMENT TOKEN FRONT BACK."""

import asyncio
import random
import sys
import time
from pathlib import Path
from secrets import token_hex

import aiohttp

RETRIED = {408, 429, 502, 503, 504, 507}
TRIES = 12


def form(front: bytes, back: bytes) -> tuple[bytes, str]:
    """The body and its Content-Type. Built once, so that every try sends the same bytes: FormData can be sent once."""
    boundary = token_hex(16)
    parts = []
    for name, photo in (("front", front), ("back", back)):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n'
        parts += [head.encode(), b"Content-Type: image/jpeg\r\n\r\n", photo, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


async def upload(session: aiohttp.ClientSession, moment: str, front: bytes, back: bytes) -> tuple[int, dict]:
    """Status and JSON of the final answer; a retry brings the last ticket, and its body only after 100 Continue."""
    body, kind = form(front, back)
    headers = {"Content-Type": kind}
    backoff_s = 0.2
    for left in reversed(range(TRIES)):
        try:
            async with session.post(
                f"/v1/moments/{moment}/posts", data=body, headers=headers, expect100="Snapsurge-Ticket" in headers
            ) as answer:
                if answer.status not in RETRIED or not left:
                    return answer.status, await answer.json(content_type=None)
                if ticket := answer.headers.get("Snapsurge-Ticket"):
                    headers["Snapsurge-Ticket"] = ticket
                asked = answer.headers.get("Retry-After", "")
                wait_s = int(asked) * random.uniform(1, 1.1) if asked.isdigit() else random.uniform(0.1, backoff_s)
        except (aiohttp.ClientError, TimeoutError):
            wait_s, backoff_s = random.uniform(0.1, backoff_s), min(backoff_s * 2, 5)
            if not left:
                raise
        await asyncio.sleep(wait_s)
    raise AssertionError("not reached")


async def settled(session: aiohttp.ClientSession, post: dict, patience_s: float = 300) -> dict:
    """The post when it is ready or rejected, or as it is when patience ends."""
    ends = time.monotonic() + patience_s
    while post["state"] == "accepted" and time.monotonic() < ends:
        began = time.monotonic()
        async with session.get(post["links"]["self"], params={"wait": "25"}) as answer:
            if answer.ok:
                post = await answer.json()
        if post["state"] == "accepted" and time.monotonic() - began < 20:
            await asyncio.sleep(1)
    return post


async def main(base: str, moment: str, token: str, front: str, back: str) -> int:
    """Upload, wait, print."""
    bearer = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
    async with aiohttp.ClientSession(base, headers=bearer, timeout=timeout) as session:
        status, post = await upload(session, moment, Path(front).read_bytes(), Path(back).read_bytes())
        if status >= 400:
            print(status, post["code"])
            return 1
        print(status, post["id"], post["received_at"])
        print((await settled(session, post))["state"])
        return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
