"""`python -m processors verify MOMENT [--repair] [--json]`: exit status 0 good, 1 something is wrong, 2 could not tell.

What was repaired counts as good; a repair that queued a render is seen to the end by verifying again. The result is on
stdout, the progress on stderr.
"""

import argparse
import contextlib
import sys

import msgspec
from redis.exceptions import RedisError

import storage.config
from storage.blobs import StoreUnavailable
from storage.keys import SPREADS
from storage.moments import NoSuchMoment
from storage.opening import blob_store, redis_client, shard_clients
from storage.refusals import reason

from .verdicts import Verified
from .verifier import Verifier

# Spreads between two lines of progress on stderr.
PROGRESS_SPREADS = 32


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `verify` to the command line."""
    verify = commands.add_parser(
        "verify",
        help="read every object of a moment, and compare digests, index and counts",
        description="Read every object of a moment and compare its digests, the index and the counts. Says what is "
        "damaged, lost, extra or unfinished. Exit status: 0 good, or all repaired; 1 something is wrong; 2 could not "
        "tell. Uploads, renders and deletions may go on meanwhile.",
        allow_abbrev=False,
    )
    verify.add_argument("moment", metavar="MOMENT", help="the moment's id")
    verify.add_argument("--repair", action="store_true", help="repair what can be repaired (default: change nothing)")
    verify.add_argument("--json", action="store_true", help="print one JSON object")


async def run(options: argparse.Namespace, storage_config: storage.config.Config) -> int:
    """Verify a moment and print the result."""
    try:
        found = await _verified(options, storage_config)
    except NoSuchMoment as error:
        print(f"processors verify: there is no moment {error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, RedisError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        said = reason(error) if isinstance(error, RedisError) else error
        print(f"processors verify: could not tell: {said}", file=sys.stderr)
        return 2
    print(msgspec.json.encode(found).decode() if options.json else words(found))
    if not found.ok:
        return 1
    return 0 if found.index_compared else 2


async def _verified(options: argparse.Namespace, storage_config: storage.config.Config) -> Verified:
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(storage_config))
        shards = shard_clients(storage_config, redis)
        for client in shards.values():
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        return await Verifier(store, redis, shards, repairs=options.repair, progress=_progress).moment(options.moment)


def _progress(spreads: int, found: Verified) -> None:
    if spreads % PROGRESS_SPREADS == 0:
        share, size = f"{spreads}/{len(SPREADS)} spreads", f"{found.bytes_read / 1e6:.0f} MB"
        print(f"verify: {share}, {found.posts} posts, {size}, {sum(found.found.values())} findings", file=sys.stderr)


def words(found: Verified) -> str:
    """The result for people."""
    lines = [
        f"{one.kind}: {one.object}: {one.detail}" + (f"; repaired: {one.repair}" if one.repaired else "")
        for one in found.findings
    ]
    if found.omitted:
        lines.append(f"… and {found.omitted} more")
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(found.found.items())) or "nothing is wrong"
    repaired = f", {found.repaired} repaired" if found.repaired else ""
    lost = f"{found.lost_pairs} lost pairs, " if found.lost_pairs else ""
    lines.append(
        f"{found.moment}: {found.posts} posts ({found.bare} without their photos, {found.pending} pending), {lost}"
        f"{found.deleted} deleted, {found.bytes_read} bytes read: {kinds}{repaired}"
    )
    if not found.index_compared:
        lines.append("Redis did not answer: the index was not compared")
    return "\n".join(lines)
