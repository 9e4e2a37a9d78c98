"""`python -m processors account MOMENT`: computes the account of a moment anew, and compares it with the stored one.

It writes nothing: the elected autoscaler writes accounts.
"""

import argparse
import contextlib
import time

import msgspec

import storage.config
from storage.account_objects import Accounts
from storage.accounts import Account, Quantiles
from storage.opening import blob_store, redis_client, shard_clients

from .reading import Reader

# What two accounts of the same posts differ in: when they were made, and what other moments did to the budget.
VARYING = ("computed_at", "settled", "budget")


class Answer(msgspec.Struct, frozen=True):
    """The account as of now, and how the stored one differs: its fields, or null where none is stored."""

    account: Account
    differs: list[str] | None


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `account MOMENT` to the command line."""
    command = commands.add_parser(
        "account",
        help="compute the account of a moment again",
        description="Compute the account of a moment from every post, and compare it with the stored one. Exit code 0 "
        "if no post is wrongly late, pending or given up, else 1; 2 if it could not be computed.",
        allow_abbrev=False,
    )
    command.add_argument("moment", metavar="MOMENT", help="the moment's id")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--whole", action="store_true", help="read every record from the store; needs no Redis")


async def run(options: argparse.Namespace, storage_config: storage.config.Config) -> int:
    """Compute and print; 0 if the promises were kept, else 1."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(storage_config))
        shards = shard_clients(storage_config, redis)
        for client in shards.values():
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        written = await Accounts(store).get(options.moment)
        stored = written.account if written is not None else None
        reader, now_ms = Reader(store, redis, shards), time.time_ns() // 1_000_000
        account = await reader.account(options.moment, now_ms=now_ms, stored=stored, store_alone=options.whole)
    answer = Answer(account, None if stored is None else differing(account, stored))
    print(msgspec.json.encode(answer).decode() if options.json else words(answer))
    return 0 if account.kept else 1


def differing(one: Account, other: Account) -> list[str]:
    """The fields in which two accounts of a moment differ, other than those that vary by themselves."""
    names = [name for name in Account.__struct_fields__ if name not in VARYING]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def words(answer: Answer) -> str:
    """The account for people."""
    one = answer.account
    refused, budget = one.refused, one.budget
    if answer.differs is None:
        stored = "none is stored yet"
    elif answer.differs:
        stored = f"the stored one differs in {', '.join(answer.differs)}"
    else:
        stored = "the stored one is the same"
    rejected = "".join(f"\n    {count} {name or 'without a reason'}" for name, count in one.rejected.items())
    dead = "".join(f", {count} dead letters ({name})" for name, count in one.failures.dead_letters.items())
    tries = ", ".join(f"{count} {name}" for name, count in one.tries.items())
    cpu = "not known" if one.cpu_ms.node is None else one.cpu_ms.node
    unsettled = "" if one.settled else "; NOT SETTLED"
    more = "" if refused.complete else ", perhaps more"
    lost = f"a lost worker {one.failures.lapses}"
    lines = [
        f"{one.moment.id}: fired {one.moment.fires_at}, closed {one.moment.closes_at}{unsettled}",
        f"  offered   {one.offered} pairs: {one.accepted} accepted, {refused.not_back} refused, never accepted later",
        f"  refused   {refused.pairs} pairs by nodes{more}: {refused.came_back} came back, {refused.deleted} deleted",
        f"  on time   {one.on_time}; late {one.late}",
        f"  late      {one.late_because_of_us} because of us, {one.late_without_ticket} refused in time, no ticket",
        f"  ready     {one.ready}; pending {one.pending}; deleted {one.deleted}",
        f"  rejected  {sum(one.rejected.values())}{rejected}",
        f"  tries     {tries or 'not known'}; with a ticket {one.tickets}; {one.untold} posts that no node counted",
        f"  upload    {_quantiles(one.upload_ms)}",
        f"  rendered  {_quantiles(one.rendered_ms)}",
        f"  ready     {_quantiles(one.ready_ms)}",
        f"  bytes     {one.bytes.photos} of photos, {one.bytes.renditions} of renditions",
        f"  CPU ms    node {cpu}, worker {one.cpu_ms.worker}, balancer not known by moment",
        f"  failures  runs ended by a fault {one.failures.faults}, an outage {one.failures.outages}, {lost}{dead}",
        f"  budget    {budget.left:g} of {budget.allowed:g} pairs left over {budget.moments} moments",
        f"  account   {stored}",
        *(f"  known by  {line}" for line in one.known_by),
    ]
    return "\n".join(lines)


def _quantiles(found: Quantiles) -> str:
    if not found.count:
        return "not known"
    return f"p50 {found.p50} ms, p90 {found.p90} ms, p99 {found.p99} ms, max {found.max} ms, of {found.count} posts"
