"""A Redis that fails over: a primary, a replica and three Sentinels; their configuration files and command lines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from . import servers
from .ports import HOST

PRIMARY: Final = "snapsurge"
# The fewest with a majority when one is gone. On one machine they protect against the end of a process, not against
# that of the machine.
SENTINELS: Final = 3
# Of the Sentinels that must find the primary down before one of them fails over.
QUORUM: Final = 2
# Redis was seen to pause for several hundred ms on a busy machine; each failover loses what was not yet replicated.
DOWN_AFTER_MS: Final = 2000
FAILOVER_TIMEOUT_MS: Final = 10_000


class Member(msgspec.Struct, frozen=True):
    """A server: its address, its command, and the text of its configuration file.

    `follows`: it begins as a replica; `watches`: it is a Sentinel.
    """

    name: str
    host: str
    port: int
    command: tuple[str, ...]
    file: Path
    text: str
    follows: bool = False
    watches: bool = False

    @property
    def url(self) -> str:
        """The address of this one server."""
        return f"redis://{self.host}:{self.port}"

    def configure(self) -> None:
        """Write the configuration file, and make the folder of the data."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Redis and its Sentinels write their roles into these files when they change, so a server that is started again
        # with the same file keeps its role. A new stack writes them anew: Redis is a copy, and the sweeper restores
        # what the former primary had.
        self.file.write_text(self.text)


def group(free_port: Callable[[], int], folder: Path, program: str | None = None) -> tuple[Member, ...]:
    """The members, in the order in which they are started: the primary, its replica, the Sentinels.

    `program` is the server; by default the one that a stack without Sentinels uses. servers.ServerMissing.
    """
    program = program or servers.redis_program()
    primary = data_server("redis-1", HOST, free_port(), folder, program)
    replica = data_server("redis-2", HOST, free_port(), folder, program, follows=primary)
    watchers = [sentinel(f"sentinel-{n}", HOST, free_port(), folder, program, primary) for n in range(1, SENTINELS + 1)]
    return primary, replica, *watchers


def address(members: Sequence[Member]) -> str:
    """The address of the group, for `SNAPSURGE_REDIS_URL`."""
    hosts = ",".join(f"{one.host}:{one.port}" for one in members if one.watches)
    return f"redis+sentinel://{hosts}/{PRIMARY}/0"


def data_server(
    name: str, host: str, port: int, folder: Path, program: str, *, follows: Member | None = None
) -> Member:
    """A Redis with its data in a folder of its own; one that `follows` another begins as its replica."""
    lines = [
        *(f"port {port}", f"bind {host}", f'dir "{folder / name}"', "daemonize no"),
        # The append-only file alone is the persistence: at most a second of writes is lost, and no snapshot forks the
        # process. A full Redis refuses writes, because an evicted key could be a job.
        *('save ""', "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"),
        "repl-diskless-sync-delay 0",  # the one replica is all that will come
    ]
    if follows:
        lines.append(f"replicaof {follows.host} {follows.port}")
    file = folder / name / "redis.conf"
    command = (program, str(file))
    return Member(name, host, port, command, file, _text(lines), follows=follows is not None)


def sentinel(name: str, host: str, port: int, folder: Path, program: str, primary: Member) -> Member:
    """A Sentinel that watches this primary."""
    lines = [
        *(f"port {port}", f"bind {host}", f'dir "{folder / name}"', "daemonize no"),
        f"sentinel monitor {PRIMARY} {primary.host} {primary.port} {QUORUM}",
        f"sentinel down-after-milliseconds {PRIMARY} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {PRIMARY} {FAILOVER_TIMEOUT_MS}",
    ]
    file = folder / name / "sentinel.conf"
    return Member(name, host, port, (program, str(file), "--sentinel"), file, _text(lines), watches=True)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
