"""`python -m deploy check`: go or no-go before a moment, for people or as JSON.

Exit: 0 go, 1 no-go, 2 could not tell. It changes nothing and ends within `WITHIN_S`.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final, TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import agreement, programs, redis_servers, services
from .cluster import of_cluster
from .facts import Facts
from .gathering import gather
from .lookups import Abandoning
from .targets import FILE, Where, of_stack, of_urls
from .verdict import GO, NO_GO, Check, Verdict, verdict

WITHIN_S: Final = 20.0
# Less is not enough for reading clocks (4 s), and for cleaning up after `inspect`.
WITHIN_S_MIN: Final = 10.0
MARKS: Final = {True: ("ok", "green"), False: ("NO", "bold red"), None: ("?", "bold yellow")}
ENDS: Final = {GO: ("GO", "bold green"), NO_GO: ("NO-GO", "bold red")}


def arguments(command: argparse.ArgumentParser, state: Path) -> None:
    """The options of `check`."""
    place = command.add_mutually_exclusive_group()
    place.add_argument("--stack", metavar="FILE", type=Path, help=f"stack.json of a stack (default {state / FILE})")
    place.add_argument(
        "--url",
        metavar="URL",
        nargs="+",
        action="extend",
        help="admin addresses of balancers (which list the nodes) and listeners of workers and autoscalers; a host "
        "name with several addresses stands for all of them. Store and Redis: SNAPSURGE_STORE_URL, … of this "
        "environment",
    )
    place.add_argument(
        "--namespace", metavar="NAME", help="a namespace of Kubernetes, by kubectl and your rights there"
    )
    command.add_argument("--moment", metavar="ID", default="", help="also check this moment")
    command.add_argument(
        "--rehearsal",
        metavar="FILE",
        type=Path,
        help="the report of the last rehearsal (default rehearsal.json beside stack.json)",
    )
    command.add_argument(
        "--plan", metavar="FILE", type=Path, help="the plan (bench plan --json), for the store's space"
    )
    command.add_argument("--without", metavar="CHECK", nargs="+", action="extend", default=[], help="skip these checks")
    command.add_argument(
        "--timeout", metavar="S", type=float, default=WITHIN_S, help="seconds in which the check must end (%(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.epilog = "Exit: 0 go, 1 no-go, 2 could not tell. Changes nothing."


def run(args: argparse.Namespace, state: Path) -> int:
    """Check, print, and return the exit code; ValueError for bad options."""
    if args.timeout < WITHIN_S_MIN:
        raise ValueError(f"--timeout {args.timeout:g}: {WITHIN_S_MIN:g} s are the least")
    checks = judged(asyncio.run(_facts(args, state)))
    # These two are checked only sometimes; leaving them out is always allowed.
    unknown = set(args.without) - {check.name for check in checks} - {"moment", "disk"}
    if unknown:
        names = ", ".join(check.name for check in checks)
        raise ValueError(f"--without {', '.join(sorted(unknown))}: the checks are {names}")
    found = verdict([check for check in checks if check.name not in args.without])
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found, args.without, sys.stdout)
    return found.exit_code


async def _facts(args: argparse.Namespace, state: Path) -> Facts:
    """What is known within the time; ValueError if not even the programs could be found."""
    loop = asyncio.get_running_loop()
    # A name that is looked up for a minute must not keep the process from ending.
    loop.set_default_executor(Abandoning())
    until = loop.time() + args.timeout
    try:
        # The other half is for asking the programs.
        async with asyncio.timeout(args.timeout / 2):
            where = await _where(args, state)
    except TimeoutError:
        raise ValueError("the names of the programs could not be looked up in time") from None
    left_s = until - loop.time()
    return await gather(where, moment_id=args.moment, report=args.rehearsal, plan=args.plan, within_s=left_s)


async def _where(args: argparse.Namespace, state: Path) -> Where:
    if args.namespace:
        return await of_cluster(args.namespace)
    return await of_urls(args.url) if args.url else of_stack((args.stack or state / FILE).resolve())


def judged(facts: Facts) -> list[Check]:
    """The result of every check on these facts, in the order in which they are printed."""
    judges = (programs, agreement, services, redis_servers)
    return [check for one in judges for check in one.judge(facts)]


def printable(text: str) -> str:
    """What programs said, as a terminal may show it: no control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def show(found: Verdict, without: list[str], out: TextIO) -> None:
    """Print a table for people: what is not as wanted says what was wanted and what to do."""
    console = Console(file=out, highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        mark, style = MARKS[check.ok]
        # Programs and Redis wrote this text: it must not move the terminal's cursor.
        text = Text(printable(check.found))
        if not check.ok:
            text.append(f"\nwanted: {check.wanted}\ndo: {check.remedy}", style="dim")
        table.add_row(Text(mark, style=style), check.name, text)
    console.print(table)
    if without:
        console.print(f"left out: {', '.join(without)}")
    word, style = ENDS.get(found.exit_code, ("COULD NOT TELL", "bold yellow"))
    bad = [check for check in found.checks if not check.ok]
    console.print(Text(f"{word}: {len(found.checks) - len(bad)} of {len(found.checks)} checks are as wanted", style))
