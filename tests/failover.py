"""A Redis that fails over, for tests: a real primary, replica and Sentinels, which can be killed, stopped and demoted.

The servers are configured as `deploy up --redis-sentinel` does it. Which data server is the primary changes; tests ask
for `primary()` and `replica()` instead of naming one.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from deploy.redis_group import PRIMARY, Member, address, group
from tests.ports import free_port

WAIT_S = 60.0
# The users of the data servers, each with its name as password: one for the servers among each other, and one for
# clients. So a primary can be cut off from the other servers and from no client, see `cut_off`.
INSIDER, CLIENT = "insider", "client"


class Group:
    """The running servers, by name."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        self.members = {one.name: one for one in members}
        self.url = address(members).replace("://", f"://{CLIENT}:{CLIENT}@")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: set[str] = set()

    @property
    def data(self) -> list[Member]:
        """The two servers that have the data."""
        return [one for one in self.members.values() if not one.watches]

    @property
    def watchers(self) -> list[Member]:
        """The Sentinels."""
        return [one for one in self.members.values() if one.watches]

    def start(self, name: str) -> None:
        """Start a server with the configuration that it has by now."""
        with (self.members[name].file.parent / "log").open("ab") as log:
            self.processes[name] = subprocess.Popen(self.members[name].command, stdout=log, stderr=log)
        self.ended.discard(name)

    def kill(self, name: str) -> str:
        """SIGKILL; returns what happened."""
        self.processes[name].kill()
        self.ended.add(name)
        return f"{name} ended with {self.processes[name].wait()}"

    def signal(self, name: str, signum: int) -> None:
        """SIGSTOP or SIGCONT."""
        self.processes[name].send_signal(signum)

    def cut_off(self, name: str) -> None:
        """Break the server's links with its replica and the Sentinels, both ways, and leave those with clients.

        They log in as a user of their own, who is shut out. What a partition between machines would do, on one.
        """
        self.ask(self.members[name], "ACL", "SETUSER", INSIDER, "off")
        self.ask(self.members[name], "CLIENT", "KILL", "USER", INSIDER)

    def join(self, name: str) -> None:
        """Undo `cut_off`."""
        self.ask(self.members[name], "ACL", "SETUSER", INSIDER, "on")

    def client(self, member: Member) -> Redis:
        """A client of this one server."""
        login = None if member.watches else CLIENT
        return Redis(member.host, member.port, username=login, password=login, socket_timeout=1.0)

    def ask(self, member: Member, *words: str) -> object:
        """The answer of a server to a command; None when it does not answer."""
        with contextlib.suppress(RedisError), self.client(member) as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call] # redis-py's
        return None

    def named(self, watcher: Member) -> str:
        """The address of the primary that this Sentinel names; empty without one."""
        found = self.ask(watcher, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)
        return f"redis://{found[0].decode()}:{int(found[1])}" if isinstance(found, list) else ""

    def primary(self) -> Member:
        """The data server that most Sentinels name."""
        named = [self.named(one) for one in self.watchers]
        return next(one for one in self.data if 2 * named.count(one.url) > len(named))

    def replica(self) -> Member:
        """The other one."""
        primary = self.primary()
        return next(one for one in self.data if one is not primary)

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait for it, or fail."""
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < deadline, f"{what}: {self.logs()}"
            time.sleep(0.05)

    def until_moved(self, old: Member) -> float:
        """Wait until most Sentinels name another primary; the seconds that it took."""
        began = time.monotonic()
        self.until(lambda: sum(self.named(one) not in {"", old.url} for one in self.watchers) >= 2, "a failover")
        return time.monotonic() - began

    def heal(self) -> None:
        """Start what ended, and wait until the group can fail over again."""
        for name in sorted(self.ended):
            self.start(name)
        self.until(self.is_whole, "the group is whole")

    def is_whole(self) -> bool:
        """One primary that all Sentinels name, a replica that follows it, and Sentinels that agree."""
        named = {self.named(one) for one in self.watchers}
        if len(named) != 1:
            return False
        states = [self._state(one) for one in self.data]
        return (
            {url for url, role, _ in states if role == "master"} == named
            and [link for _, role, link in states if role == "slave"] == ["up"]
            and all(self.ask(one, "SENTINEL", "CKQUORUM", PRIMARY) and self._sees_replica(one) for one in self.watchers)
        )

    def role(self, member: Member) -> str:
        """What the server says that it is: master or slave, or nothing without an answer."""
        return self._state(member)[1]

    def backlog(self, member: Member) -> int:
        """How many bytes of changes the server has."""
        with self.client(member) as client:
            info = client.info("replication")
            return int(info["slave_repl_offset"] if info["role"] == "slave" else info["master_repl_offset"])

    def _state(self, member: Member) -> tuple[str, str, str]:
        with contextlib.suppress(RedisError), self.client(member) as client:
            info = client.info("replication")
            return member.url, info["role"], info.get("master_link_status", "")
        return member.url, "", ""

    def _sees_replica(self, watcher: Member) -> bool:
        with contextlib.suppress(RedisError), self.client(watcher) as client:
            found = client.sentinel_slaves(PRIMARY)  # type: ignore[no-untyped-call] # redis-py's
            return [(one["is_sdown"], one["is_disconnected"]) for one in found] == [(False, False)]
        return False

    def logs(self) -> str:
        """The ends of all logs."""
        files = [one.file.parent / "log" for one in self.members.values()]
        return "\n".join(f"== {file.parent.name}\n{file.read_text()[-1500:]}" for file in files if file.exists())


@contextlib.contextmanager
def running(folder: Path, program: str | None = None) -> Iterator[Group]:
    """A whole group on loopback, of the server that `deploy` finds or of `program`; ended by process id."""
    with started(group(free_port, folder, program)) as made:
        yield made


@contextlib.contextmanager
def started(members: tuple[Member, ...]) -> Iterator[Group]:
    """These members as a whole group: the data servers first, then the Sentinels; ended by process id."""
    made = Group(tuple(_with_insiders(one) for one in members))
    try:
        for one in made.members.values():
            one.configure()
        for one in made.data:
            made.start(one.name)
        made.until(lambda: [made._state(one)[2] for one in made.data if one.follows] == ["up"], "a replica")
        for one in made.watchers:
            made.start(one.name)
        made.heal()
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


def _with_insiders(member: Member) -> Member:
    """The same with credentials; those of clients are in the address of the group."""
    own = ["user default off", *(f"user {one} on >{one} ~* &* +@all" for one in (INSIDER, CLIENT))]
    own += [f"masteruser {INSIDER}", f"masterauth {INSIDER}"]
    if member.watches:
        own = [f"sentinel auth-user {PRIMARY} {INSIDER}", f"sentinel auth-pass {PRIMARY} {INSIDER}"]
    return msgspec.structs.replace(member, text=member.text + "".join(f"{line}\n" for line in own))
