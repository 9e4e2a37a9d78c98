"""A stack of stand-ins: real processes and a real Redis, but small servers in place of our packages."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from deploy import servers
from deploy.local import LocalStack
from deploy.plan import AutoscalerPlan, BalancerPlan, Drains, NodePlan, Plan
from deploy.ports import Ports
from deploy.supervisor import Program, Supervisor

SECRET = "a-secret-of-at-least-thirty-two-bytes"
# Answers every GET with the same bytes: stands in for a node and for a balancer's admin port.
ANSWER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
# Has one worker, another when that ends, and tells of it at `/v1/targets` as if it had a `/metrics`.
SCALER = """
import http.server, json, subprocess, sys, threading
workers = []
def work():
    while True:
        workers[:] = [subprocess.Popen(["sleep", "600"])]
        workers[0].wait()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        labels = {"tier": "worker", "__meta_snapsurge_process": f"host:{workers[0].pid}"}
        self.wfile.write(json.dumps([{"targets": ["127.0.0.1:7"], "labels": labels}]).encode())
threading.Thread(target=work, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

Stand = Callable[[], AbstractAsyncContextManager[LocalStack]]


def program(folder: Path, name: str, drains: Drains, script: str, *words: str) -> Program:
    """A program of the stack that runs a Python script."""
    return Program(
        name=name,
        command=(sys.executable, "-c", script, *words),
        environment={"PATH": os.environ["PATH"]},  # noqa: TID251 - children need it to find `sleep`
        folder=folder,
        log=folder / f"{name}.log",
        drains=drains,
    )


def stand_in_plan(folder: Path, ports: Ports) -> Plan:
    """A plan of stand-ins: one node, one balancer over it, an autoscaler with one worker, and a real Redis."""
    redis, node, door, admin, scaler = (ports.free() for _ in range(5))
    known = f'[{{"id":"a","address":"127.0.0.1:{node}","state":"healthy"}}]'
    return Plan(
        redis=f"redis://127.0.0.1:{redis}/0",
        store="file:///nowhere",
        secret=SECRET,
        redis_server=Program(
            name="redis",
            command=tuple(servers.redis_command(redis, folder / "redis")),
            environment={},
            folder=folder,
            log=folder / "redis.log",
            drains=Drains.REDIS,
        ),
        store_servers=(),
        nodes=(
            NodePlan(
                "a",
                f"http://127.0.0.1:{node}",
                program(folder, "node-a", Drains.NODE, ANSWER, str(node), "ready"),
            ),
        ),
        autoscaler=AutoscalerPlan(
            f"http://127.0.0.1:{scaler}", program(folder, "autoscaler", Drains.AUTOSCALER, SCALER, str(scaler))
        ),
        balancers=(
            BalancerPlan(
                f"http://127.0.0.1:{door}",
                f"http://127.0.0.1:{admin}",
                program(folder, "lb-1", Drains.BALANCER, ANSWER, str(admin), known),
            ),
        ),
    )


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """Makes contexts that start the stand-in stack and drain it at the end."""

    @asynccontextmanager
    async def started() -> AsyncIterator[LocalStack]:
        with Ports() as ports:
            async with aiohttp.ClientSession() as session, Supervisor(stop_s=30, say=print) as supervisor:
                local = LocalStack(stand_in_plan(tmp_path, ports), supervisor, tmp_path, os.getpid())
                await local.start(float("inf"), session)
                supervisor.accompany(local.follow(session, print), "follow")
                yield local

    return started
