"""The reign of a Redis: as long as it lasts, nothing that was written to the index can be missing there.

A reign ends when Redis restarts, when another server is promoted, and when a server with other data joins as a replica:
such a server was a primary too, and what only it had, posts and counts among them, is lost when it joins. Redis counts
these joins as full resynchronizations; a replica that has merely lost its connection needs none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio.client import Pipeline

_SECTIONS = ("server", "replication", "stats")
REIGN = """
local function reign()
  local said = redis.call('INFO', 'server')..redis.call('INFO', 'replication')..redis.call('INFO', 'stats')
  return string.match(said, 'run_id:(%x+)')..':'..string.match(said, 'master_replid:(%x+)')..':'..
    string.match(said, 'sync_full:(%d+)')
end
"""


def ask_in(pipe: Pipeline) -> int:
    """Add the questions for the reign to a pipeline; returns how many answers at its end `lasts` needs."""
    for section in _SECTIONS:
        pipe.info(section)
    return len(_SECTIONS)


def lasts(mark: bytes | None, answers: Sequence[Mapping[str, Any]], epoch: str = "") -> bool:
    """Whether the mark, made by `reign()` in a script, is of the present reign of a primary and of this epoch."""
    server, replication, stats = answers
    reign = f"{server['run_id']}:{replication['master_replid']}:{stats['sync_full']}" + (epoch and f":{epoch}")
    return mark is not None and mark.decode() == reign and replication["role"] == "master"
