"""What is known of the settings of the stack under a replay: they decide whether two reports may be compared.

Without a stack file, or on another system than Linux, nothing is known.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .cpu import PROC, read_stack

OWN: Final = re.compile(r"SNAPSURGE_(LB|INGEST|PROCESSORS|STORAGE)_")
# A report may be shown to anyone; and addresses and paths differ between two stacks that are otherwise equal.
PRIVATE: Final = re.compile(r"SECRET|URL|TOKEN|KEY|PASSWORD|ADDRESS|HOST|PORT|LISTEN|_ID$")
PLACE: Final = re.compile(r"[/:@]")  # a path or an address


def read_environment(pid: int) -> dict[str, str]:
    """The environment with which a process was started (proc(5)); empty when it has ended or belongs to another."""
    try:
        content = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in content.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def shown(name: str, value: str) -> bool:
    """Whether a variable is a setting of a tier that holds no secret and names no place."""
    return bool(OWN.match(name)) and not PRIVATE.search(name) and not PLACE.search(value)


def shared(environments: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The shown settings that have the same value in all of these environments."""
    if not environments:
        return {}
    # A setting in which two processes of a tier differ is none of the tier.
    common = set[tuple[str, str]].intersection(*(set(each.items()) for each in environments))
    return {name: value for name, value in sorted(common) if shown(name, value)}


def settings_of(stack_file: Path | None) -> dict[str, str]:
    """The settings that each tier's processes share, and the number of balancers and nodes."""
    stack = read_stack(stack_file) if stack_file else None
    if stack is None:
        return {}
    # Workers are not counted, because the autoscaler changes their number during a run.
    found = {"balancers": str(len(stack.balancers)), "nodes": str(len(stack.nodes))}
    for members in (stack.balancers, stack.nodes, stack.workers):
        found |= shared([read_environment(member.pid) for member in members if member.pid])
    return found
