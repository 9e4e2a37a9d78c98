"""The stack on three hosts, for the rounds of `tests/faults`: their phones, their witness, their checker.

The checker reads the store and the API from the phones' host, after every link is whole again.
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy import ready, servers, stack
from deploy.config import Environment
from deploy.supervisor import Supervisor
from storage.config import Config
from storage.opening import blob_store, redis_client
from tests.faults.rig import ROOT, SETTINGS, Opened, Rig
from tests.net.network import Host, Network
from tests.net.programs import ADMIN, DOOR, MINIO, NODE, PASSWORD, PRIMARY, SENTINEL, UNITS, Site

START_S = 120.0
STOP_S = 5.0


class NetRig(Rig):
    """`async with NetRig(network, folder)`; `links` that are broken must be whole before `healthy` returns."""

    def __init__(self, network: Network, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("minio", folder, settings=settings)
        self.network = network

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opened:
            self.clocks = self.folder / "clocks"
            for folder in (self.folder, self.clocks, self.folder / "logs"):
                folder.mkdir()
            for host in self.network.hosts:
                self.set_clock(host.name, 0.0)
            patch = opened.enter_context(pytest.MonkeyPatch.context())
            for name, value in {**servers.minio_environment(), "AWS_EC2_METADATA_DISABLED": "true"}.items():
                patch.setenv(name, value)
            self.session = await opened.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
            )
            site = Site(self.network.hosts, self.folder, self._environment)
            config = Config(store_url=site.store_url, redis_url=site.redis_url)
            self._site, self._supervisor = site, Supervisor(stop_s=STOP_S, say=self._say)
            await opened.enter_async_context(self._supervisor)
            opened.callback(self._supervisor.kill)
            await self._start()
            self.store = await opened.enter_async_context(blob_store(config))
            self.redis = redis_client(config)
            opened.push_async_callback(self.redis.aclose)
            self.opened = opened.pop_all()
        return self

    @property
    def _environment(self) -> dict[str, str]:
        shim = {"FAULTS_CLOCKS": str(self.clocks), "PYTHONPATH": str(ROOT / "tests" / "faults" / "clocks")}
        trusted = {"SNAPSURGE_INGEST_TRUSTED_PEERS": self.network.cidr}
        return {**Environment.current(), **SETTINGS, **shim, **trusted, **self._settings}

    def _say(self, text: str) -> None:
        with (self.folder / "up.log").open("a") as log:
            print(text, file=log)

    async def _start(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        for unit in UNITS:
            programs = [(host, self._site.program(unit, host)) for host in self.network.hosts]
            for _, program in programs:
                self._supervisor.start(program)
            for host, program in programs:
                await self._supervisor.until(program.name, partial(self._ready, unit, host), deadline)

    async def _ready(self, unit: str, host: Host) -> bool:
        match unit:
            case "redis" | "worker@" | "autoscaler":
                return True
            case "sentinel":
                return await ready.redis_answers(self._site.redis_url)
            case "minio":
                return await ready.serves(self.session, f"http://{host.address}:{MINIO}/minio/health/ready")
            case "node":
                return await ready.serves(self.session, f"{_node_url(host)}/readyz")
            case _:
                nodes = {each.name: f"{each.address}:{NODE}" for each in self.network.hosts}
                return await ready.knows_all(self.session, f"http://{host.address}:{ADMIN}", nodes)

    async def open_moment(self, window_s: int) -> Opened:
        """As `Rig` does; a failure quotes what the nodes said of their store."""
        try:
            return await super().open_moment(window_s)
        except AssertionError as error:
            logs = sorted((self.folder / "logs").glob("node-*.log"))
            lines = [line for log in logs for line in log.read_text(errors="replace").splitlines() if "store" in line]
            error.add_note("\n".join(lines[-20:]))
            raise

    @property
    def doors(self) -> list[str]:
        """The balancers, which phones use."""
        return [f"http://{host.address}:{DOOR}" for host in self.network.hosts]

    async def primary(self) -> Host:
        """The host whose Redis the Sentinels call the primary now; asks those that answer."""
        for host in self.network.hosts:
            async with Redis(host=host.address, port=SENTINEL, password=PASSWORD, socket_timeout=1.0) as sentinel:
                with contextlib.suppress(RedisError):
                    address, _ = await sentinel.sentinel_get_master_addr_by_name(PRIMARY)  # type: ignore[no-untyped-call]
                    return next(each for each in self.network.hosts if each.address == _text(address))
        raise AssertionError("no Sentinel answers")

    def pid(self, unit: str, host: Host) -> int:
        """The process of this unit on this host."""
        return self._supervisor.keepers[f"{unit}-{host.name}"].pid

    def record(self) -> stack.Stack:
        """What `deploy up` would write about these processes."""
        hosts = self.network.hosts
        return stack.Stack(
            balancers=tuple(
                stack.Balancer(door, f"http://{host.address}:{ADMIN}", self.pid("balancer", host))
                for door, host in zip(self.doors, hosts, strict=True)
            ),
            nodes=tuple(stack.Node(host.name, _node_url(host), self.pid("node", host)) for host in hosts),
            redis=self._site.redis_url,
            store=self._site.store_url,
            state=str(self.folder),
            workers=tuple(stack.Process(self.pid("worker@", host)) for host in hosts),
            autoscaler=stack.Process(self.pid("autoscaler", hosts[0])),
            servers=(),
            supervisor=stack.Process(os.getpid()),
        )


def _node_url(host: Host) -> str:
    return f"http://{host.address}:{NODE}"


def _text(address: bytes | str) -> str:
    return address.decode() if isinstance(address, bytes) else address
