"""`python -m processors dead …`: operators list dead letters, run their jobs again, or purge them.

A job that is queued again starts from zero: its earlier tries and lost workers no longer count. A purged job never runs
again, unless its user posts again.
"""

import argparse
from collections.abc import Sequence
from typing import cast

import msgspec

import storage.config
from storage.opening import redis_client, shard_clients
from storage.queue.jobs import Job, JobName
from storage.queue.shards import Shards

from .letters import DeadLetter, DeadLetters


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands `dead list|show|requeue|purge` to the command line."""
    dead = commands.add_parser("dead", help="jobs that were given up: list, show, requeue, purge", allow_abbrev=False)
    verbs = dead.add_subparsers(dest="verb", title="commands", required=True)
    listing = verbs.add_parser("list", help="list all dead letters, the oldest first", allow_abbrev=False)
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    showing = verbs.add_parser("show", help="show one dead letter in full", allow_abbrev=False)
    showing.add_argument("ids", metavar="ID", nargs=1, help="id as `list` prints it, e.g. render_pair:POST")
    showing.add_argument("--json", action="store_true", help="print one JSON object")
    for verb, does in (
        ("requeue", "queue the jobs again, as if for the first time"),
        ("purge", "delete the dead letters for good"),
    ):
        changing = verbs.add_parser(verb, help=does, allow_abbrev=False)
        changing.add_argument("ids", metavar="ID", nargs="*", help="ids as `list` prints them")
        changing.add_argument("--all", action="store_true", help="all dead letters, instead of ids")


async def run(options: argparse.Namespace, storage_config: storage.config.Config) -> int:
    """Run one command; 0 when done, 1 when a letter does not exist or its job cannot be queued; redis.RedisError."""
    redis = redis_client(storage_config)
    clients = shard_clients(storage_config, redis)
    try:
        dead = DeadLetters(*clients.values())
        letters = await dead.all()
        if options.verb == "list":
            print_list(letters, as_json=options.json)
            return 0
        ids = {one.id for one in letters} if getattr(options, "all", False) else set(options.ids)
        chosen = [one for one in letters if one.id in ids]
        for missing in sorted(ids - {one.id for one in chosen}):
            print(f"no dead letter of {missing}")
        if options.verb == "show":
            for one in chosen:
                print(msgspec.json.encode(one).decode() if options.json else words(one))
            done = len(chosen)
        elif options.verb == "requeue":
            done = await requeue(Shards(clients), dead, chosen)
            print(f"{done} queued again")
        else:
            done = await dead.purge([one.id for one in chosen])
            print(f"{done} forgotten")
        return 0 if done == len(ids) else 1
    finally:
        for client in (redis, *clients.values()):
            await client.aclose()


async def requeue(shards: Shards, dead: DeadLetters, letters: Sequence[DeadLetter]) -> int:
    """Queue these jobs and remove their letters; returns how many jobs are queued now."""
    done = 0
    for one in letters:
        if len(one.args) == 2:
            if not await shards.enqueue([Job(cast("JobName", one.name), *one.args)]):
                await dead.remove([one.id])  # The job is queued already, so `enqueue` did not remove its letter.
            done += 1
        else:
            print(f"{one.id} has no arguments that could be read; purge it")
    return done


def print_list(letters: Sequence[DeadLetter], *, as_json: bool) -> None:
    """Print one line for each letter."""
    if as_json:
        for one in letters:
            print(msgspec.json.encode(one).decode())
        return
    rows = [("job", "reason", "tries", "at", "error")]
    rows += [(one.id, one.reason, str(one.tries), one.at, one.error) for one in letters]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if letters else ():
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if not letters:
        print("no dead letters")


def words(letter: DeadLetter) -> str:
    """The text of one letter, for people."""
    head = f"{letter.id}: {letter.reason} after {letter.tries} runs, {letter.at}\n{letter.name}{letter.args}\n"
    return f"{head}{letter.error}\n\n{letter.traceback}".rstrip()
