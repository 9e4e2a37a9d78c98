"""A real HTTP cache in front of the whole service: nginx with the file of `deploy/nginx`, two nodes, a worker.

Viewers have no tokens for pictures, only the links that they were given.
"""

import asyncio
import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from bench.peers.started import PATH, process
from deploy.config import Environment
from deploy.plan import READS_HASH
from storage.records import from_ms
from tests.e2e.lone_node import PATIENCE_S, ROOT, SECRET, lone_node, pair, token
from tests.e2e.test_lb_harness import balancer
from tests.ports import free_port

pytestmark = pytest.mark.e2e

CONFIG = ROOT / "deploy" / "nginx" / "cache.conf"
LINK_SECRET = "a-secret-for-links-of-32-characters"
POSTS, VIEWERS, AT_ONCE = 5, 30, 6
PICTURES = 7 * POSTS


@contextmanager
def cache(folder: Path, port: int, target: int) -> Iterator[None]:
    """Nginx on this port in front of a balancer, with our file as ops would include it; only its addresses differ."""
    if not shutil.which("nginx", path=PATH):
        (pytest.fail if Environment.current().get("CI") == "true" else pytest.skip)(
            "needs nginx: apt-get install nginx"
        )
    text = CONFIG.read_text()
    for old, new in (
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("    server 127.0.0.1:8080;\n    server 127.0.0.1:8081;\n", f"    server 127.0.0.1:{target};\n"),
        ("/var/cache/nginx-snapsurge", str(folder / "cache")),
        ("/var/log/nginx/snapsurge.log", str(folder / "access.log")),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "cache.conf").write_text(text)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", *KINDS))
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;"
        f"events {{}} http {{ {temporary} include {folder}/cache.conf; }}"
    )
    with process(["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")], port):
        yield


KINDS = ("proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def worker(folder: Path, redis_url: str) -> Iterator[None]:
    """A worker of the nodes' store."""
    settings = {
        "SNAPSURGE_AUTH_SECRET": SECRET,
        "SNAPSURGE_STORE_URL": f"file://{folder}/store",
        "SNAPSURGE_REDIS_URL": redis_url,
    }
    clean = {name: value for name, value in Environment.current().items() if not name.startswith("SNAPSURGE_")}
    running = subprocess.Popen([sys.executable, "-m", "processors"], cwd=ROOT, env=clean | settings)
    try:
        yield
    finally:
        running.kill()
        running.wait()


class Service:
    """The running service: `door` is the cache's URL, `nodes` the ports behind the balancer."""

    def __init__(self, door: str, nodes: list[int], moment: str, session: aiohttp.ClientSession) -> None:
        self.door = door
        self.nodes = nodes
        self.moment = moment
        self.session = session

    async def call(self, method: str, path: str, user: str = "", scope: str = "upload", **options: Any) -> Any:
        """An answer through the cache, with its body in `.raw`; without a user it is sent without a token."""
        headers = {"Authorization": f"Bearer {token(user, scope)}"} if user else {}
        headers |= options.pop("headers", {})
        url = URL(options.pop("door", self.door) + path, encoded=True)
        async with self.session.request(method, url, headers=headers, **options) as answer:
            answer.raw = await answer.read()
            answer.body = await answer.json(content_type=None) if "json" in answer.content_type else None
            return answer

    async def post(self, user: str, **headers: str) -> Any:
        """A new post of this user, as it was answered."""
        kind = {"Content-Type": "multipart/form-data; boundary=x"} | headers
        return await self.call("POST", f"/v1/moments/{self.moment}/posts", user, data=pair(20_000), headers=kind)

    async def links(self, path: str) -> dict[str, str]:
        """The links of a post to its seven pictures, once they are all there."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                post = (await self.call("GET", path, "anyone")).body
                links = {name: link for name, link in post["links"].items() if "/photos/" in link}
                if len(links) == 7:
                    return links
                await asyncio.sleep(0.1)

    async def served(self) -> Counter[int]:
        """How many pictures each node has served, by its own metrics."""
        found: Counter[int] = Counter()
        for port in self.nodes:
            text = (await self.call("GET", "/metrics", door=f"http://127.0.0.1:{port}")).raw.decode()
            counted = re.search(r'requests_total\{route="photo",status="200"\} (\d+)', text)
            found[port] = int(counted[1]) if counted else 0
        return found


@asynccontextmanager
async def service(folder: Path, redis_url: str, **settings: object) -> AsyncIterator[Service]:
    """Run everything, with an open moment."""
    ports = [free_port(), free_port()]
    async with AsyncExitStack() as opened:
        nodes = [
            opened.enter_context(lone_node(folder, redis_url, port, link_secret=LINK_SECRET, **settings))
            for port in ports
        ]
        opened.enter_context(worker(folder, redis_url))
        behind = balancer(
            *zip("ab", ports, strict=True),
            environment={"SNAPSURGE_LB_TRUSTED_PEERS": "127.0.0.0/8"},
            hash_on="bearer-sub",
            extra=["--hash-reads-on", READS_HASH],
        )
        lb = await opened.enter_async_context(behind)
        door = free_port()
        opened.enter_context(cache(folder, door, lb.port))
        session = await opened.enter_async_context(aiohttp.ClientSession())
        yield Service(f"http://127.0.0.1:{door}", ports, nodes[0].moment(), session)


async def test_a_cache_serves_the_feed_of_a_moment(tmp_path: Path, redis_url: str) -> None:
    """Viewers who get the links one after another and at once: 95 of 100 pictures come from the cache, all are right.

    Each picture is read once from the nodes, which share the reads. No link can be stretched through the cache.
    """
    async with service(tmp_path, redis_url) as running:
        paths = [(await running.post(f"user{number}")).headers["Location"] for number in range(POSTS)]
        for path in paths:
            await running.links(path)
        found: Counter[str] = Counter()

        async def viewer(number: int) -> None:
            for path in paths:
                for link in (await running.links(path)).values():
                    answer = await running.call(
                        "GET", link, headers={"Origin": "https://a.example"} if number % 2 else {}
                    )
                    assert answer.status == 200
                    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.raw).hexdigest()}"'
                    found[answer.headers["X-Cache"]] += 1

        for first in range(0, VIEWERS, AT_ONCE):
            await asyncio.gather(*(viewer(number) for number in range(first, first + AT_ONCE)))
        served = await running.served()
        print("answers by cache status:", dict(found), "pictures read from the nodes:", dict(served))  # noqa: T201

        assert found.total() == VIEWERS * PICTURES
        assert found["HIT"] >= 0.95 * found.total()
        assert served.total() == found.total() - found["HIT"]
        await _no_link_is_stretched(running, await running.links(paths[0]), paths)
        assert "sig=" not in (tmp_path / "access.log").read_text()


async def _no_link_is_stretched(running: Service, links: dict[str, str], paths: list[str]) -> None:
    """Whatever is changed, the answer is a refusal from a node and never a picture that the cache has."""
    link = links["front-feed"]
    path, _, query = link.partition("?")
    exp = int(query[4:14])
    hit = await running.call("GET", link)
    # Until the link ends and no longer, however old the copy: max-age would begin anew, because nginx sends no Age.
    assert (hit.headers["X-Cache"], hit.headers["Cache-Control"]) == ("HIT", "public, immutable")
    assert parsedate_to_datetime(hit.headers["Expires"]).timestamp() == exp
    altered = [
        *(f"{other.partition('?')[0]}?{query}" for name, other in links.items() if name != "front-feed"),
        f"{paths[1]}/photos/front/feed?{query}",
        link.replace(f"exp={exp}", f"exp={exp + 1}"),
        link.replace(f"exp={exp}", f"exp={exp + 10**8}"),
        f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}",
        *(f"{link}{more}" for more in ("&x=1", "=", "&", "%20")),
        f"{path}?{query.partition('&')[2]}&exp={exp}",
        link.replace("/photos/", "/%70hotos/"),
    ]
    nowhere = [link.replace("front/feed", other) for other in ("front//feed", "back/../front/feed", "front/feed/")]
    for target in [*altered, *nowhere]:
        for _ in range(2):
            answer = await running.call("GET", target)
            assert answer.status == (404 if target in nowhere else 403), target
            assert answer.content_type == "application/problem+json"
            assert answer.headers.get("X-Cache") != "HIT"
            assert answer.headers["Cache-Control"] == "no-store"
    for _ in range(2):
        assert (await running.call("GET", path)).status == 401
        by_token = await running.call("GET", path, "anyone")
        assert (by_token.status, by_token.headers["X-Cache"]) == (200, "BYPASS")
    # Another spelling of the host names the same pictures; HEAD, a range and a condition are answered from the cache.
    asked = [
        ("GET", {"Host": "PICTURES.example:81"}, 200),
        ("HEAD", {}, 200),
        ("GET", {"Range": "bytes=0-9"}, 206),
        ("GET", {"If-None-Match": (await running.call("GET", link)).headers["ETag"]}, 304),
    ]
    for method, headers, status in asked:
        answer = await running.call(method, link, headers=headers)
        assert (answer.status, answer.headers["X-Cache"]) == (status, "HIT")


async def test_a_deleted_picture_is_gone_from_the_cache_when_its_link_ends(tmp_path: Path, redis_url: str) -> None:
    """The nodes answer 404 at once; the cache may go on until the link ends, and answers no later request with it.

    Other photos of the same user, at the same paths, are shown by their new links at once.
    """
    async with service(tmp_path, redis_url, link_s=10) as running:
        path = (await running.post("alice")).headers["Location"]
        await running.links(path)
        link = (await running.links(path))["front-feed"]
        first = await running.call("GET", link)
        assert (first.status, first.headers["X-Cache"]) == (200, "MISS")
        assert (await running.call("GET", link)).headers["X-Cache"] == "HIT"
        assert (await running.call("DELETE", path, "alice")).status == 204
        for port in running.nodes:
            assert (await running.call("GET", link, door=f"http://127.0.0.1:{port}")).status in {404, 403}

        assert (await running.post("alice")).headers["Location"] == path
        new = (await running.links(path))["front-feed"]
        assert new.partition("?")[0] == link.partition("?")[0]
        shown = await running.call("GET", new)
        assert (shown.status, shown.raw == first.raw) == (200, False)

        # The clock of a cache counts whole seconds.
        ends_at = int(link.partition("exp=")[2][:10]) + 1
        while time.time() <= ends_at:
            early = await running.call("GET", link)
            assert early.status in {403, 404} or (early.raw == first.raw and early.headers["X-Cache"] == "HIT")
            await asyncio.sleep(0.3)
        late = await running.call("GET", link)
        assert (late.status, late.body["code"]) == (403, "link-expired")


async def test_a_client_cannot_speak_as_a_balancer_through_the_cache(tmp_path: Path, redis_url: str) -> None:
    """The balancer believes the cache; the time at which an upload was received is not the client's to say."""
    async with service(tmp_path, redis_url) as running:
        before_ms = time.time_ns() // 1_000_000
        lies = {"Snapsurge-Received-At": "1700000000000", "X-Forwarded-For": "10.9.9.9", "X-Request-Id": "victim-1"}
        made = await running.post("alice", **lies)

        assert made.status == 201
        assert made.body["received_at"] >= from_ms(before_ms - 1000)
        assert made.headers["X-Request-Id"] != "victim-1"
