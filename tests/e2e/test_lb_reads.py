"""Reads of one service token through a real balancer: they spread over the nodes, uploads stay with their user."""

from collections import Counter

import aiohttp
import pytest

from deploy.plan import READS_HASH
from tests.e2e.test_lb_harness import balancer, sink, token

pytestmark = pytest.mark.e2e

READS = ["--hash-reads-on", READS_HASH]
POSTS = 300


async def test_the_reads_of_one_token_spread_and_its_uploads_do_not() -> None:
    """300 posts read by one token: each of three nodes has a fair share, to a quarter; without the option one has all.

    A post's record and pictures are read at one node, signed or not, by GET or HEAD.
    """
    async with sink("a") as a, sink("b") as b, sink("c") as c:
        nodes = [(node.name, node.port) for node in (a, b, c)]
        for extra, fair in ((READS, True), ([], False)):
            async with (
                balancer(*nodes, hash_on="bearer-sub", extra=extra) as lb,
                aiohttp.ClientSession(lb.url, headers={"Authorization": token("service")}) as session,
            ):
                shares: Counter[str] = Counter()
                for number in range(POSTS):
                    seen = set()
                    path = f"/v1/posts/post{number}-m"
                    for target in (path, f"{path}/photos/front/thumb", f"{path}/photos/back/full?exp=1&sig={number}"):
                        async with session.get(target) as answer:
                            seen.add((await answer.json())["node"])
                    assert len(seen) == 1
                    shares.update(seen)
                uploaded = set()
                for number in range(20):
                    async with session.post(f"/v1/moments/{number}/posts", data=b"x") as answer:
                        uploaded.add((await answer.json())["node"])
                    async with session.get(f"/v1/moments/{number}") as answer:
                        uploaded.add((await answer.json())["node"])
            assert len(uploaded) == 1
            if fair:
                print("reads by node:", dict(shares))  # noqa: T201 - the figure of this test
                assert len(shares) == 3
                assert max(shares.values()) < 1.25 * POSTS / 3
            else:
                assert set(shares) == uploaded


async def test_head_is_read_where_get_is() -> None:
    """By the path too, and without a body to wait for: the connection serves the next request."""
    async with sink("a") as a, sink("b") as b, sink("c") as c:
        nodes = [(node.name, node.port) for node in (a, b, c)]
        async with (
            balancer(*nodes, hash_on="bearer-sub", extra=READS) as lb,
            aiohttp.ClientSession(lb.url, connector=aiohttp.TCPConnector(limit=1)) as session,
        ):
            for number in range(20):
                async with session.head(f"/v1/posts/{number}/photos/front/thumb") as answer:
                    assert (answer.status, await answer.read()) == (200, b"")
                    assert int(answer.headers["Content-Length"]) > 0
                async with session.get(f"/v1/posts/{number}/photos/front/thumb") as answer:
                    assert (await answer.json())["length"] == 0
        for node in (a, b, c):
            paths = Counter(path for _, path, _, _ in node.requests)
            assert set(paths.values()) <= {2}
