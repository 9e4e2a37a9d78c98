"""`unshare -n -m python -m tests.e2e.partitioned_redis FOLDER alone|half`: a primary behind a broken network.

Three hosts are network namespaces with addresses of their own: A has the primary and a Sentinel, B the replica and a
Sentinel, C (the namespace that this runs in) a Sentinel, an autoscaler, two nodes and the phones; with `half`, one node
and a worker are on A, and a second network connects them with the phones. The first network breaks: A is cut off,
`alone` or with `half` of the nodes. Uploads go on at both nodes until it is whole again. The namespaces end with this
process.
"""

import asyncio
import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
from PIL import Image

from deploy.config import Environment
from deploy.redis_group import Member, data_server, sentinel
from deploy.servers import redis_program
from deploy.tokens import token
from storage.config import Config
from storage.files import FileStore
from storage.index import Index
from storage.opening import redis_client
from storage.posts import Posts
from tests.failover import CLIENT, Group, started

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-of-this-test-alone-32-characters"
BACK = {"A": "10.213.0.1", "B": "10.213.0.2", "C": "10.213.0.3"}
FRONT = {"A": "10.213.1.1", "C": "10.213.1.3"}
PORT = 9001
SETTLED_S = 90.0
# What the cut-off primary has: its role, and the posts in its index.
LOOK = f"""
from redis import Redis
client = Redis({BACK["A"]!r}, 6379, username={CLIENT!r}, password={CLIENT!r})
print(client.info("replication")["role"], len(client.keys("snapsurge:post:*")))
"""


def ip(*words: str) -> None:
    """Set up a network, by iproute2."""
    subprocess.run(["ip", *words], check=True)


def connect_hosts() -> None:
    """Namespaces A and B on a bridge with this one, and a cable between A and this one."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "back", "type", "bridge")
    ip("addr", "add", f"{BACK['C']}/24", "dev", "back")
    ip("link", "set", "back", "up")
    for host in ("A", "B"):
        ip("netns", "add", host)
        ip("link", "add", f"back-{host}", "type", "veth", "peer", "name", "back", "netns", host)
        ip("link", "set", f"back-{host}", "master", "back", "up")
        ip("-n", host, "addr", "add", f"{BACK[host]}/24", "dev", "back")
        ip("-n", host, "link", "set", "back", "up")
        ip("-n", host, "link", "set", "lo", "up")
    ip("link", "add", "front", "type", "veth", "peer", "name", "front", "netns", "A")
    ip("addr", "add", f"{FRONT['C']}/24", "dev", "front")
    ip("link", "set", "front", "up")
    ip("-n", "A", "addr", "add", f"{FRONT['A']}/24", "dev", "front")
    ip("-n", "A", "link", "set", "front", "up")


def on(host: str, *command: str) -> tuple[str, ...]:
    """The command line that runs on this host."""
    return command if host == "C" else ("ip", "netns", "exec", host, *command)


def members(folder: Path) -> tuple[Member, ...]:
    """Primary on A, replica on B, a Sentinel on each host."""
    program = redis_program()
    primary = data_server("redis-1", BACK["A"], 6379, folder, program)
    replica = data_server("redis-2", BACK["B"], 6379, folder, program, follows=primary)
    watchers = [sentinel(f"sentinel-{host}", BACK[host], 26379, folder, program, primary) for host in BACK]
    placed = zip((primary, replica, *watchers), ("A", "B", *BACK), strict=True)
    return tuple(
        msgspec.structs.replace(one, command=on(host, *one.command), text=one.text + "protected-mode no\n")
        for one, host in placed
    )


@contextlib.contextmanager
def programs(folder: Path, group: Group, hosts: tuple[str, str]) -> Iterator[None]:
    """A node on each of these hosts, a worker on the first, the autoscaler with its worker on C."""
    ours = {name: text for name, text in Environment.current().items() if not name.startswith("SNAPSURGE_")}
    ours |= {"SNAPSURGE_STORE_URL": (folder / "store").as_uri(), "SNAPSURGE_REDIS_URL": group.url}
    ours |= {"SNAPSURGE_AUTH_SECRET": SECRET, "SNAPSURGE_PROCESSORS_SWEEP_EVERY_S": "2"}
    python = (sys.executable, "-m")
    commands = [
        on(hosts[0], *python, "processors"),
        on("C", *python, "processors", "autoscale", "--workers-min", "1", "--workers-max", "1"),
        *(on(h, *python, "ingest", "--listen", f"{FRONT[h]}:{PORT + n}", "--id", h) for n, h in enumerate(hosts)),
    ]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=ours, stdout=log, stderr=log))
            stack.callback(process.terminate)
        yield


class Phones:
    """Uploads to both nodes, a new user each; every answer is kept."""

    def __init__(self, session: aiohttp.ClientSession, nodes: list[str]) -> None:
        self._session, self._nodes = session, nodes
        self.moment = ""
        self.statuses: list[int] = []
        out = io.BytesIO()
        Image.new("RGB", (96, 128), "teal").save(out, "JPEG")
        self._photo = out.getvalue()

    def _headers(self, user: str, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(SECRET, user, scope, now=time.time(), ttl_s=3600)}"}

    async def open_moment(self) -> None:
        """At the second node, as soon as both are ready."""
        for node in self._nodes:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self._session.get(f"{node}/readyz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.1)
        url, said = f"{self._nodes[1]}/v1/moments", {"region": "net"}
        async with self._session.post(url, json=said, headers=self._headers("ops", "ops")) as answer:
            assert answer.status == 201, await answer.text()
            self.moment = (await answer.json())["id"]

    async def post(self, count: int) -> None:
        """So many pairs at each node, one after another."""
        for _ in range(count):
            for node in self._nodes:
                form = aiohttp.FormData()
                for name in ("front", "back"):
                    form.add_field(name, self._photo, filename=f"{name}.jpg", content_type="image/jpeg")
                url = f"{node}/v1/moments/{self.moment}/posts"
                headers = self._headers(f"user-{len(self.statuses)}", "upload")
                async with self._session.post(url, data=form, headers=headers) as answer:
                    self.statuses.append(answer.status)

    async def until(self, task: "asyncio.Task[float]") -> float:
        """Go on until the task is done; its result."""
        while not task.done():
            await self.post(1)
            await asyncio.sleep(0.2)
        return task.result()


async def broken(folder: Path, group: Group, nodes: list[str]) -> str:
    """Break the network, upload, mend it, and wait until every post is ready; what happened."""
    old = group.members["redis-1"]
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        FileStore(folder / "store") as store,
        redis_client(Config(redis_url=group.url)) as redis,
        asyncio.TaskGroup() as tasks,
    ):
        phones = Phones(session, nodes)
        await phones.open_moment()
        await phones.post(5)
        ip("link", "set", "back-A", "down")
        took_s = await phones.until(tasks.create_task(asyncio.to_thread(group.until_moved, old), name="moved"))
        await phones.post(10)
        look = on("A", sys.executable, "-c", LOOK)
        role, alone = (await asyncio.to_thread(subprocess.check_output, look, text=True)).split()
        assert role == "master", role
        ip("link", "set", "back-A", "up")
        mended_s = time.monotonic()
        await phones.until(tasks.create_task(asyncio.to_thread(healed, group), name="healed"))
        await phones.post(5)
        posts, total = Posts(store, Index(redis)), len(phones.statuses)
        while True:
            counts = await posts.counts(phones.moment)
            if counts.ready == total or time.monotonic() > mended_s + SETTLED_S:
                break
            await asyncio.sleep(0.2)
        assert set(phones.statuses) == {201}, phones.statuses
        assert (counts.accepted, counts.on_time, counts.ready, counts.late) == (total, total, total, 0), counts
        return (
            f"{total} uploads answered 201; another primary after {took_s:.1f} s, while the first went on with {alone} "
            f"posts; all ready and counted {time.monotonic() - mended_s:.1f} s after the network was whole"
        )


def healed(group: Group) -> float:
    """Wait until the group is whole again; the seconds."""
    began = time.monotonic()
    group.heal()
    return time.monotonic() - began


def main(folder: Path, how: str) -> None:
    """Build the hosts and break them; prints what happened, or raises."""
    connect_hosts()
    hosts = ("A", "C") if how == "half" else ("C", "C")
    nodes = [f"http://{FRONT[host]}:{PORT + number}" for number, host in enumerate(hosts)]
    with started(members(folder / "redis")) as group, programs(folder, group, hosts):
        try:
            print(asyncio.run(broken(folder, group, nodes)))  # noqa: T201 - for the test and for people
        except BaseException:
            print((folder / "log").read_text()[-6000:], file=sys.stderr)  # noqa: T201 - the same
            raise


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
