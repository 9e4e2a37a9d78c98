"""Which programs the live view reads: from a stack's file, or from addresses; a stack changes, so it asks each time.

A target is the address of a `/metrics`. An address that ends in `/v1/targets` is that of an autoscaler, which lists all
programs as Prometheus' HTTP service discovery does.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from .exposition import printable

DISCOVERY: Final = "/v1/targets"
METRICS: Final = "/metrics"
TARGETS_MAX: Final = 4096  # A list that is longer is a mistake.


class TargetsUnknown(Exception):
    """The targets cannot be told; the text says why."""


class Target(msgspec.Struct, frozen=True, order=True):
    """A program to read; name and tier are empty when nobody told them."""

    url: str
    name: str = ""
    tier: str = ""

    @property
    def address(self) -> str:
        """The target's `host:port`, without a user."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def label(self) -> str:
        """The name, or the address."""
        return printable(self.name or self.address)


class Listed(msgspec.Struct, frozen=True):
    """An element of `metrics` in `stack.json`."""

    tier: str
    name: str
    url: str


class Placed(msgspec.Struct, frozen=True):
    """A balancer or node in `stack.json`: the address that has `/metrics`."""

    url: str
    id: str = ""
    admin: str = ""


class StackFile(msgspec.Struct, frozen=True):
    """The part of `stack.json` that is used here; stacks of earlier versions have no `metrics`."""

    metrics: tuple[Listed, ...] = ()
    balancers: tuple[Placed, ...] = ()
    nodes: tuple[Placed, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """An element of the answer of HTTP service discovery."""

    targets: tuple[str, ...]
    labels: dict[str, str] = {}


def of_stack(path: Path) -> tuple[Target, ...]:
    """The targets of a stack's file; TargetsUnknown."""
    try:
        stack = msgspec.json.decode(path.read_bytes(), type=StackFile)
    except OSError as error:
        raise TargetsUnknown(f"{path} cannot be read: {error.strerror}; start the stack, or name its file") from error
    except msgspec.MsgspecError as error:
        raise TargetsUnknown(f"{path} is not the file of a stack: {error}") from error
    if stack.metrics:
        return tuple(Target(one.url, one.name, one.tier) for one in stack.metrics)
    balancers = (
        Target(f"{one.admin}{METRICS}", f"lb-{number}", "balancer") for number, one in enumerate(stack.balancers, 1)
    )
    return (*balancers, *(Target(f"{one.url}{METRICS}", one.id, "node") for one in stack.nodes))


def of_discovery(body: bytes) -> tuple[Target, ...]:
    """The targets in an answer of HTTP service discovery; TargetsUnknown."""
    try:
        groups = msgspec.json.decode(body, type=tuple[Group, ...])
        found = {}
        for group in groups:
            tier, labels = group.labels.get("tier", ""), group.labels
            scheme, path = labels.get("__scheme__", "http"), labels.get("__metrics_path__", METRICS)
            for address in group.targets:
                target = Target(checked(f"{scheme}://{address}{path}"), labels.get(tier, labels.get("name", "")), tier)
                found[target.url] = target
    except msgspec.MsgspecError as error:
        raise TargetsUnknown(f"not an answer of HTTP service discovery: {error}") from error
    if len(found) > TARGETS_MAX:
        raise TargetsUnknown(f"{len(found)} targets, at most {TARGETS_MAX} can be read")
    return tuple(found.values())


def checked(url: str) -> str:
    """The address with a path; TargetsUnknown unless it can be read over HTTP."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise TargetsUnknown(f"{url!r} is not an address like http://127.0.0.1:8090/metrics")
    # An address without a path means its metrics, as in Prometheus.
    return url if parts.path.strip("/") else f"{url.rstrip('/')}{METRICS}"
