"""`python -m processors dead …`: ops look at the jobs that were given up, run them again, or forget them.

A job that is queued again starts from nothing: its earlier tries and lapses are forgotten with its letter.
"""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import storage.config
from storage.opening import queue_clients
from storage.queue import Job
from storage.shards import Shards

from .letters import DeadLetter, DeadLetters


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`dead list|show|requeue|purge`, each with its help."""
    dead = commands.add_parser("dead", help="jobs that were given up: list, show, requeue, purge")
    verbs = dead.add_subparsers(dest="verb", title="commands", required=True)
    listing = verbs.add_parser("list", help="all of them, the oldest first")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    showing = verbs.add_parser("show", help="everything known of one")
    showing.add_argument("ids", metavar="ID", nargs=1, help="as listed, e.g. render_pair:POST")
    showing.add_argument("--json", action="store_true", help="one JSON object")
    for verb, does in (("requeue", "run them again, as if for the first time"), ("purge", "forget them")):
        changing = verbs.add_parser(verb, help=does)
        changing.add_argument("ids", metavar="ID", nargs="*", help="as listed")
        changing.add_argument("--all", action="store_true", help="instead of ids")


async def run(options: argparse.Namespace, storage_config: storage.config.Config) -> int:
    """One command; 0 done, 1 when there is no such letter or it cannot be queued again. May raise redis.RedisError."""
    clients = queue_clients(storage_config)
    try:
        dead = DeadLetters(*clients.values())
        letters = await dead.all()
        ids = {one.id for one in letters} if getattr(options, "all", False) else set(getattr(options, "ids", ()))
        chosen = [one for one in letters if one.id in ids]
        if options.verb == "list":
            print_list(letters, as_json=options.json)
            return 0
        for _missing in sorted(ids - {one.id for one in chosen}):
            pass
        if options.verb == "show":
            for one in chosen:
                pass
        elif options.verb == "requeue":
            jobs = [Job(one.name, *one.args) for one in chosen if len(one.args) == 2]  # type: ignore[arg-type]
            await Shards(clients).enqueue(jobs)
            await dead.remove([job.id for job in jobs])
            for one in chosen:
                if len(one.args) != 2:
                    pass
            return 0 if len(jobs) == len(ids) else 1
        else:
            pass
        return 0 if len(chosen) == len(ids) else 1
    finally:
        for client in clients.values():
            await client.aclose()


def print_list(letters: Sequence[DeadLetter], *, as_json: bool) -> None:
    """A line each."""
    if as_json:
        for one in letters:
            pass
        return
    table = Table("job", "reason", "tries", "at", "error")
    for one in letters:
        table.add_row(one.id, one.reason, str(one.tries), one.at, one.error)
    Console(highlight=False).print(table if letters else "no dead letters")


def words(letter: DeadLetter) -> str:
    """A letter to read."""
    head = f"{letter.id}: {letter.reason} after {letter.tries} runs, {letter.at}\n{letter.name}{letter.args}\n"
    return f"{head}{letter.error}\n\n{letter.traceback}".rstrip()
