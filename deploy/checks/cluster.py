"""The programs in a namespace of Kubernetes, reached by `kubectl` with the rights of the person who calls it.

Needed rights: get and list pods, create pods/portforward and pods/exec.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from .targets import Target, Where

ASKED_MAX: Final = 8  # of the workers, of which there may be hundreds: each takes a process of kubectl
PORTS: Final = ("admin", "http", "metrics")  # by name; the first that a pod has is its port for operators
TIERS: Final = frozenset({"balancer", "node", "worker", "autoscaler"})
INSPECT: Final = ("--", "python", "-m", "processors", "inspect")
_FORWARDED: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


class _Port(msgspec.Struct, frozen=True, rename="camel"):
    container_port: int
    name: str = ""


class _Container(msgspec.Struct, frozen=True):
    ports: tuple[_Port, ...] = ()


class _Spec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    labels: dict[str, str] = {}
    deletion_timestamp: str = ""


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _Spec
    status: _Status


class _Pods(msgspec.Struct, frozen=True):
    items: tuple[_Pod, ...]


def kubectl(namespace: str) -> tuple[str, ...]:
    """The beginning of each command."""
    return ("kubectl", "--namespace", namespace)


async def of_cluster(namespace: str) -> Where:
    """The programs in a namespace; ValueError when kubectl cannot list them."""
    command = (*kubectl(namespace), "get", "pods", "--selector", "app=snapsurge", "--output", "json")
    pipe = asyncio.subprocess.PIPE
    try:
        # A group of its own: kubectl may be a script that starts the real one, and both must end.
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, process_group=0)
    except FileNotFoundError:
        raise ValueError("--namespace needs kubectl, which is not installed here") from None
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    try:
        pods = msgspec.json.decode(out, type=_Pods).items
    except msgspec.MsgspecError:
        said = errors.decode(errors="replace").strip()[:300] or "it printed no list"
        raise ValueError(f"--namespace {namespace}: kubectl cannot list the pods: {said}") from None
    found = targets(pods, namespace)
    # An autoscaler's pod has the settings and the secrets of store and Redis, which this machine need not have.
    inspects = next((one.name for one in found if one.kind == "autoscaler" and not one.error), "")
    place = f"pod/{inspects}" if inspects else "deployment/autoscaler"
    return Where(targets=found, inspect=(*kubectl(namespace), "exec", place, *INSPECT), inspects=inspects)


def targets(pods: tuple[_Pod, ...], namespace: str) -> tuple[Target, ...]:
    """The pods that are to be asked: all but those that end, and of the workers the first `ASKED_MAX`."""
    found, workers = [], 0
    for pod in sorted(pods, key=lambda one: one.metadata.name):
        tier, name = pod.metadata.labels.get("tier", ""), pod.metadata.name
        ports = {port.name: port.container_port for one in pod.spec.containers for port in one.ports}
        port = next((ports[known] for known in PORTS if known in ports), None)
        workers += tier == "worker"
        # A pod that ends will not be there at the moment, so its state says nothing.
        ends = pod.metadata.deletion_timestamp or pod.status.phase == "Succeeded"
        if tier not in TIERS or port is None or ends or (tier == "worker" and workers > ASKED_MAX):
            continue
        error = "" if pod.status.phase == "Running" else f"its pod is {pod.status.phase or 'not known'}"
        # This reaches a pod whatever the network policies say, and the admin ports stay closed to everybody else.
        forward = (*kubectl(namespace), "port-forward", f"pod/{name}", f":{port}")
        found.append(Target("", name, tier, address=f"{pod.status.pod_ip}:{port}", forward=forward, error=error))
    return tuple(found)


@contextlib.asynccontextmanager
async def forwarded(command: tuple[str, ...]) -> AsyncIterator[str]:
    """The base URL of a pod inside the block; ConnectionError if kubectl does not reach it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, process_group=0
    )
    try:
        said = await process.stdout.readline() if process.stdout else b""
        port = _FORWARDED.match(said)
        if not port:
            raise ConnectionError("kubectl port-forward does not reach it")
        yield f"http://127.0.0.1:{int(port[1])}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it has nothing to undo, and must not keep us
        await process.wait()
