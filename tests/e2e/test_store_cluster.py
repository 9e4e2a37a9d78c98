"""The whole stack on a MinIO erasure set that loses its write quorum under uploads, and on one of its own."""

import asyncio
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from deploy.config import DEVELOPMENT_SECRET
from deploy.servers import ServerMissing, minio_program
from deploy.tokens import token
from tests.e2e.test_stack_up import SMALL, Up, until, up, upload
from tests.erasure import erasure_set

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

# Fewer than the PUTs that a node begins with, so that the gate has no reason of its own to hold any back.
PHONES = 12
# Less than three attempts of ten seconds, and far more than it takes.
PATIENCE_S = 20.0


class Phones:
    """Phones that post the sample pair of a stack to one moment, through its balancer."""

    def __init__(self, stack: Up, session: aiohttp.ClientSession) -> None:
        record = stack.record()
        self._url = record["balancers"][0]["url"]
        self._node = record["nodes"][0]["url"]
        self._session = session
        self._photos = {side: (stack.state / f"{side}.jpg").read_bytes() for side in ("front", "back")}
        self._tickets: dict[str, str] = {}
        self.moment = ""

    def _bearer(self, user: str, scope: str = "upload") -> dict[str, str]:
        return {"Authorization": f"Bearer {token(DEVELOPMENT_SECRET, user, scope, now=time.time(), ttl_s=600)}"}

    async def open(self) -> None:
        """Open a moment."""
        async with self._session.post(
            f"{self._url}/v1/moments", json={"region": "eu"}, headers=self._bearer("ops", "ops")
        ) as answer:
            assert answer.status == 201, await answer.text()
            self.moment = (await answer.json())["id"]

    async def post(self, user: str) -> tuple[int, Any]:
        """One attempt of a user, with the ticket of the one before; status and JSON."""
        form = aiohttp.FormData()
        for side, photo in self._photos.items():
            form.add_field(side, photo, content_type="image/jpeg", filename=f"{side}.jpg")
        headers = self._bearer(user)
        if ticket := self._tickets.pop(user, ""):
            headers["Snapsurge-Ticket"] = ticket
        timeout = aiohttp.ClientTimeout(PATIENCE_S)
        async with self._session.post(
            f"{self._url}/v1/moments/{self.moment}/posts", data=form, headers=headers, timeout=timeout
        ) as answer:
            if ticket := answer.headers.get("Snapsurge-Ticket", ""):
                self._tickets[user] = ticket
            return answer.status, json.loads(await answer.read())

    async def all(self, prefix: str) -> list[tuple[int, Any]]:
        """One attempt of each of many users at once."""
        return await asyncio.gather(*(self.post(f"{prefix}{number}") for number in range(PHONES)))

    @property
    def ticketed(self) -> int:
        """How many users have a ticket for their next attempt."""
        return len(self._tickets)

    async def shown(self, post_id: str) -> Any:
        """The post's JSON."""
        async with self._session.get(f"{self._url}/v1/posts/{post_id}", headers=self._bearer("ada")) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def metric(self, name: str) -> float:
        """A value of the node's metrics; 0 when it is not there."""
        async with self._session.get(f"{self._node}/metrics") as answer:
            found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", await answer.text(), re.MULTILINE)
        return float(found[1]) if found else 0.0


async def test_without_a_write_quorum_phones_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a ticket for each upload, counted as a lost quorum and not as load; reads go on; then all is stored."""
    monkeypatch.setenv("SNAPSURGE_PROCESSORS_SWEEP_EVERY_S", "2")
    with (
        erasure_set(tmp_path) as cluster,
        up(tmp_path / "s", "--port", "0", "--store", cluster.url("e2e"), *SMALL) as stack,
    ):
        async with aiohttp.ClientSession() as session:
            phones = Phones(stack, session)
            await phones.open()
            before = await phones.all("before")
            assert [status for status, _ in before] == [201] * PHONES
            puts_max = await phones.metric("snapsurge_ingest_puts_max")

            for one in cluster.members[:2]:
                one.kill()
            for _ in range(2):
                refused = await phones.all("lost")
                assert {(status, said["code"]) for status, said in refused} == {(503, "storage-unavailable")}
                assert phones.ticketed == PHONES
            lost = 'snapsurge_store_failures_total{cause="quorum-lost"}'
            assert await phones.metric(lost) == 2 * PHONES
            assert await phones.metric('snapsurge_posts_total{outcome="shed"}') == 0
            assert await phones.metric("snapsurge_ingest_puts_max") >= puts_max
            for _, post in before:
                assert (await phones.shown(post["id"]))["photos"] == post["photos"]

            for one in cluster.members[:2]:
                one.start()
            left = {f"lost{number}" for number in range(PHONES)}
            while left:
                ends = await asyncio.gather(*((phones.post(user)) for user in sorted(left)))
                left -= {user for user, (status, _) in zip(sorted(left), ends, strict=True) if status in {200, 201}}
            assert await phones.metric("snapsurge_ingest_puts_max") >= puts_max
            for _, post in before:
                assert (await phones.shown(post["id"]))["photos"] == post["photos"]


@pytest.mark.long
def test_a_stack_has_an_erasure_set_of_its_own(tmp_path: Path) -> None:
    """Four members that are supervised: one that is killed comes back, and a pair becomes ready meanwhile."""
    try:
        minio_program()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with up(tmp_path / "state", "--port", "0", "--minio-members", "4", *SMALL) as running:
        assert json.loads(running.line)["store"].count("http://127.0.0.1:") == 4
        members = {one["name"]: one["pid"] for one in running.record()["servers"] if one["name"].startswith("minio")}
        assert sorted(members) == ["minio-1", "minio-2", "minio-3", "minio-4"]
        assert upload(running, "ada")["state"] == "ready"
        psutil.Process(members["minio-2"]).kill()
        assert upload(running, "bea")["state"] == "ready"
        until(lambda: members["minio-2"] not in {one["pid"] for one in running.record()["servers"]})
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        running.stop(signal.SIGTERM)
