"""Saves the last membership and the operator's changes, so that a balancer can start while Redis is unreachable."""

import contextlib
import logging
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from ..placement.node import Member
from .heartbeats import checked_address
from .overrides import Overrides

log = logging.getLogger("snapsurge.lb.snapshot")

T = TypeVar("T")


def read_members(path: str) -> list[Member]:
    """The members of the snapshot; none when there is no snapshot or it cannot be read."""
    members = _read(path, list[Member]) or []
    try:
        for member in members:
            checked_address(member.address)
    except ValueError as error:
        log.warning("snapshot %s is ignored, starting without it: %s", path, error)
        return []
    return members


def read_overrides(path: str) -> Overrides:
    """The saved operator changes; none when there are none or they cannot be read."""
    return _read(_beside(path), Overrides) or Overrides()


def write_members(path: str, members: list[Member]) -> None:
    """Save the members as the snapshot."""
    _write(path, members)


def write_overrides(path: str, overrides: Overrides) -> None:
    """Save the operator's changes beside the snapshot."""
    _write(_beside(path), overrides)


def _beside(path: str) -> str:
    return f"{path}.admin" if path else ""


def _read(path: str, kind: type[T]) -> T | None:
    if not path:
        return None
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("snapshot %s cannot be read, starting without it: %s", path, error)
        return None


def _write(path: str, value: object) -> None:
    """Replace the file in one step; without a path write nothing."""
    if not path:
        return
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(msgspec.json.encode(value))
        partial.replace(target)
    except OSError as error:
        log.warning("snapshot %s cannot be written, a restart without Redis would use the old one: %s", path, error)
        with contextlib.suppress(OSError):
            partial.unlink()
