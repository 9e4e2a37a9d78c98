"""The programs of the stack on three hosts, as `deploy/systemd` starts them: the steps of deploy/README.md, followed.

Every host has a balancer, a node, a worker, an autoscaler that only decides and sweeps, a Redis with a Sentinel, and a
MinIO with two drives. Of the units only `ExecStart` and `Environment` are used; the supervisor takes systemd's part.
What differs from the files: paths, addresses, secrets, and the balancer's admin port, which the checker asks.
"""

import re
import shlex
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from deploy import servers
from deploy.supervisor import Program
from tests.faults.phones import SECRET
from tests.net.network import Host

REDIS, SENTINEL, MINIO, NODE, DOOR, ADMIN = 6379, 26379, 9000, 8000, 8080, 8090
PRIMARY = "snapsurge"
PASSWORD = "a-password-of-redis"
DRIVES = 2
# The start order: each unit on all hosts before the next.
UNITS = ("redis", "sentinel", "minio", "node", "worker@", "autoscaler", "balancer")
# The group of each unit's processes, by which a host's firewall tells them apart.
GIDS = {unit: 9101 + number for number, unit in enumerate(UNITS)}
DRAINS = {"redis": 2, "sentinel": 2, "minio": 2}
FILES = servers.ROOT / "deploy" / "systemd"


class Site:
    """Three hosts, the folder of all their files, and settings of a test in addition to those of the files."""

    def __init__(self, hosts: tuple[Host, ...], folder: Path, settings: Mapping[str, str]) -> None:
        self._hosts, self._folder, self._settings = hosts, folder, settings
        for host in hosts:
            self._home(host).mkdir()
            for name in ("redis.conf", "sentinel.conf"):
                lines = [self._own((FILES / name).read_text(), host), f"bind {host.address}"]
                if name == "redis.conf" and host != hosts[0]:
                    lines.append(f"replicaof {hosts[0].address} {REDIS}")
                (self._home(host) / name).write_text("\n".join(lines) + "\n")

    @property
    def redis_url(self) -> str:
        """The address of the Sentinel group, as all programs know it."""
        return self._shared["SNAPSURGE_REDIS_URL"]

    @property
    def store_url(self) -> str:
        """The address of the erasure set, by all its members."""
        return self._shared["SNAPSURGE_STORE_URL"]

    @cached_property
    def _shared(self) -> dict[str, str]:
        """The environment file of all hosts, filled in."""
        lines = self._own((FILES / "snapsurge.env").read_text()).splitlines()
        found = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        found |= {
            name: f"{SECRET}:{name}" for name, value in found.items() if name.startswith("SNAPSURGE_") and not value
        }
        found["SNAPSURGE_AUTH_SECRET"] = SECRET
        found |= servers.minio_environment()
        found["MINIO_CI_CD"] = "1"  # the drives are folders of one disk
        found["MINIO_VOLUMES"] = " ".join(
            f"http://{host.address}:{MINIO}{self._home(host)}/minio/{number}"
            for host in self._hosts
            for number in range(1, DRIVES + 1)
        )
        return found

    def program(self, unit: str, host: Host) -> Program:
        """The program that this unit starts on this host."""
        text = self._own((FILES / f"snapsurge-{unit}.service").read_text(), host)
        variables = {**self._shared, "NAME": host.name, "ADDRESS": host.address}
        own = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE))
        start = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
        assert start
        # As systemd does: ${X} is one word or a part of one, $X is split into words.
        line = re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda name: variables[name[1] or name[2]], start[1])
        line = line.replace(f"127.0.0.1:{ADMIN}", f"{host.address}:{ADMIN}")
        environment = {**self._settings, **variables, **own, "PYTHONUNBUFFERED": "1"}
        return Program(
            name=f"{unit}-{host.name}",
            command=host.inside(*shlex.split(line), gid=GIDS[unit]),
            environment=environment,
            folder=servers.ROOT,
            log=self._folder / "logs" / f"{unit}-{host.name}.log",
            drains=DRAINS.get(unit, 1),
        )

    def _home(self, host: Host) -> Path:
        return self._folder / host.name

    def _own(self, text: str, host: Host | None = None) -> str:
        """A file's text with our addresses, paths and password."""
        for number, each in enumerate(self._hosts, 1):
            text = text.replace(f"10.0.0.{number}", each.address)
        text = text.replace("REDIS_PASSWORD", PASSWORD)
        if host:
            for path in ("/var/lib/snapsurge/redis", "/var/lib/snapsurge"):
                text = text.replace(path, str(self._home(host)))
        text = text.replace("/opt/snapsurge/.venv/bin/python", sys.executable)
        text = text.replace("/usr/local/bin/minio", servers.minio_program())
        redis = servers.redis_program()
        return re.sub(r"/usr/bin/redis-sentinel (\S+)", rf"{redis} \1 --sentinel", text).replace(
            "/usr/bin/redis-server", redis
        )
