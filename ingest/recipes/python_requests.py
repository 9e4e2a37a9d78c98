"""Upload a pair with requests: python_requests.py BASE MOMENT TOKEN FRONT BACK."""

import random
import sys
import time
from pathlib import Path

import requests

RETRIED = {408, 429, 502, 503, 504, 507}
TRIES = 12


def upload(base: str, moment: str, token: str, front: bytes, back: bytes) -> requests.Response:
    """The final answer; every try sends the same bytes, with the last ticket."""
    photos = {"front": ("front.jpg", front, "image/jpeg"), "back": ("back.jpg", back, "image/jpeg")}
    with requests.Session() as session:
        # Built once: the boundary and so the bytes are the same in every try.
        request = session.prepare_request(requests.Request("POST", f"{base}/v1/moments/{moment}/posts", files=photos))
        request.headers["Authorization"] = f"Bearer {token}"
        settings = session.merge_environment_settings(request.url, {}, None, None, None)  # proxies and certificates
        backoff_s = 0.2
        for left in reversed(range(TRIES)):
            try:
                # The second number is the longest silence, not the whole time.
                answer = session.send(request, timeout=(5, 60), **settings)
            except requests.RequestException:
                wait_s, backoff_s = random.uniform(0.1, backoff_s), min(backoff_s * 2, 5)
                if not left:
                    raise
            else:
                if answer.status_code not in RETRIED or not left:
                    return answer
                if ticket := answer.headers.get("Snapsurge-Ticket"):
                    request.headers["Snapsurge-Ticket"] = ticket
                asked = answer.headers.get("Retry-After", "")
                wait_s = int(asked) * random.uniform(1, 1.1) if asked.isdigit() else random.uniform(0.1, backoff_s)
            time.sleep(wait_s)
    raise AssertionError("not reached")


def settled(base: str, token: str, post: dict, patience_s: float = 300) -> dict:
    """The post when it is ready or rejected, or as it is when patience ends."""
    ends = time.monotonic() + patience_s
    while post["state"] == "accepted" and time.monotonic() < ends:
        began = time.monotonic()
        where = f"{base}{post['links']['self']}"
        answer = requests.get(where, {"wait": 25}, headers={"Authorization": f"Bearer {token}"}, timeout=40)
        if answer.ok:
            post = answer.json()
        if post["state"] == "accepted" and time.monotonic() - began < 20:
            time.sleep(1)
    return post


if __name__ == "__main__":
    base, moment, token, front, back = sys.argv[1:]
    answer = upload(base, moment, token, Path(front).read_bytes(), Path(back).read_bytes())
    if not answer.ok:
        print(answer.status_code, answer.json()["code"])
        sys.exit(1)
    post = answer.json()
    print(answer.status_code, post["id"], post["received_at"])
    print(settled(base, token, post)["state"])
