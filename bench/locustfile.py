"""Interactive load for locust: `locust -f bench/locustfile.py --host http://127.0.0.1:8080`.

Closed loop, for interactive use: each locust user is a stream of phones; every iteration is a new phone that posts its
pair to a moment that was opened when the test started. Use `bench replay` for results: it is open loop and checks what
became of each upload.
"""

import datetime as dt
import importlib
import random
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from locust import HttpUser, between, events, task

if TYPE_CHECKING:
    from . import client, config, photos
else:
    # Locust loads this file by its path, outside the package, so relative imports do not work at run time.
    client, config, photos = (importlib.import_module(f"bench.{name}") for name in ("client", "config", "photos"))

WINDOW_S: Final = 120
PHOTO_BYTES: Final = (60_000, 250_000)
CONFIG: Final = config.load()
GALLERY: Final = photos.Gallery(CONFIG.photo_seed, PHOTO_BYTES[1])


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def check_host(environment: Any, **_: Any) -> None:  # noqa: ANN401 -- locust gives its own environment
    """Fail at the start of the test when no host was given."""
    if not environment.host:
        raise SystemExit("name the balancer with --host http://127.0.0.1:8080")


class Phones(HttpUser):
    """Phones that post once each and do not retry: an answer with `Retry-After` shows as a failure by its status."""

    wait_time = between(0.5, 2.0)
    moment_id = ""

    def on_start(self) -> None:
        """Open a moment for this stream of phones."""
        bearer = client.token(CONFIG.auth_secret, "bench-ops", "ops", time.time())
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"region": CONFIG.region, "fires_at": now, "window_s": WINDOW_S}
        answer = self.client.post("/v1/moments", json=body, headers={"Authorization": f"Bearer {bearer}"})
        self.moment_id = answer.json()["id"] if answer.ok else ""

    @task
    def post_pair(self) -> None:
        """Post a pair as a new phone and read the post."""
        if not self.moment_id:
            return self.on_start()
        user = uuid.uuid4().hex
        front = GALLERY.photo(user, "front", random.randint(*PHOTO_BYTES))
        back = GALLERY.photo(user, "back", random.randint(*PHOTO_BYTES))
        bearer = client.token(CONFIG.auth_secret, user, "upload", time.time())
        headers = {
            "Authorization": f"Bearer {bearer}",
            "Content-Type": f"multipart/form-data; boundary={client.BOUNDARY}",
        }
        answer = self.client.post(
            f"/v1/moments/{self.moment_id}/posts",
            data=client.multipart(front, back),
            headers=headers,
            name="POST /v1/moments/{id}/posts",
        )
        if not answer.ok:
            return None
        del headers["Content-Type"]
        self.client.get(f"/v1/posts/{answer.json()['id']}", headers=headers, name="GET /v1/posts/{id}")
        return None
