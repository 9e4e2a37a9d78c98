"""Upload a pair with httpx: python_httpx.py BASE MOMENT TOKEN FRONT BACK."""

import random
import sys
import time
from pathlib import Path

import httpx

RETRIED = {408, 429, 502, 503, 504, 507}
TRIES = 12


def upload(client: httpx.Client, moment: str, front: bytes, back: bytes) -> httpx.Response:
    """The final answer; every try sends the same bytes, with the last ticket."""
    photos = {"front": ("front.jpg", front, "image/jpeg"), "back": ("back.jpg", back, "image/jpeg")}
    request = client.build_request("POST", f"/v1/moments/{moment}/posts", files=photos)
    body = request.read()  # built once: the boundary and so the bytes are the same in every try
    headers = dict(request.headers)
    backoff_s = 0.2
    for left in reversed(range(TRIES)):
        try:
            answer = client.post(f"/v1/moments/{moment}/posts", content=body, headers=headers)
        except httpx.TransportError:
            wait_s, backoff_s = random.uniform(0.1, backoff_s), min(backoff_s * 2, 5)
            if not left:
                raise
        else:
            if answer.status_code not in RETRIED or not left:
                return answer
            if ticket := answer.headers.get("Snapsurge-Ticket"):
                headers["Snapsurge-Ticket"] = ticket
            asked = answer.headers.get("Retry-After", "")
            wait_s = int(asked) * random.uniform(1, 1.1) if asked.isdigit() else random.uniform(0.1, backoff_s)
        time.sleep(wait_s)
    raise AssertionError("not reached")


def settled(client: httpx.Client, post: dict, patience_s: float = 300) -> dict:
    """The post when it is ready or rejected, or as it is when patience ends."""
    ends = time.monotonic() + patience_s
    while post["state"] == "accepted" and time.monotonic() < ends:
        began = time.monotonic()
        answer = client.get(post["links"]["self"], params={"wait": 25})
        if answer.is_success:
            post = answer.json()
        if post["state"] == "accepted" and time.monotonic() - began < 20:
            time.sleep(1)
    return post


if __name__ == "__main__":
    base, moment, token, front, back = sys.argv[1:]
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=base, headers=bearer, timeout=httpx.Timeout(60, connect=5)) as client:
        answer = upload(client, moment, Path(front).read_bytes(), Path(back).read_bytes())
        if not answer.is_success:
            print(answer.status_code, answer.json()["code"])
            sys.exit(1)
        post = answer.json()
        print(answer.status_code, post["id"], post["received_at"])
        print(settled(client, post)["state"])
