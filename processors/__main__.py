"""`python -m processors`: one worker, the autoscaler (`autoscale`), or a command for operators."""

import argparse
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import msgspec
import uvloop
from redis.exceptions import RedisError

import storage.config
from storage import logs
from storage.blobs import StoreUnavailable
from storage.causes import unwrapped
from storage.moments import NoSuchMoment
from storage.opening import admitted, blob_store, redis_client, shard_clients
from storage.refusals import reason
from storage.rights import RightsMissing
from storage.settings import SettingsError, table

from . import dead, inspect_command, lifecycle, worker
from .accounting import command as account
from .config import Config, load
from .scaling import autoscale
from .scaling.ladder import Ladder, parsed
from .stopping import stopping
from .sweeper import Sweeper
from .verifying import command as verify

log = logging.getLogger("snapsurge.processors.main")

PRINTING = ("account", "dead", "inspect", "sweep", "verify")  # commands whose result is on stdout
TOLD = ("account",)  # commands whose exit code 1 is their result; 2: they could not tell


def parser() -> argparse.ArgumentParser:
    """The command-line parser; its `--help` lists every setting."""
    settings = table(Config, storage.config.Config)
    top = argparse.ArgumentParser(
        prog="python -m processors",
        description="Render accepted pairs. Without a command: one worker process, until SIGTERM.",
        epilog=f"settings, from the environment:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.set_defaults(workers_min=None, workers_max=None)
    top.add_argument(
        "--until-eof", action="store_true", help="stop, as on SIGTERM, when standard input ends: the parent is gone"
    )
    logs.add_option(top)
    commands = top.add_subparsers(dest="command", title="commands")
    scaler = commands.add_parser(
        "autoscale", help="keep as many workers as the queue needs, and sweep", allow_abbrev=False
    )
    scaler.add_argument("--workers-min", type=int, help="instead of SNAPSURGE_PROCESSORS_WORKERS_MIN")
    scaler.add_argument("--workers-max", type=int, help="instead of SNAPSURGE_PROCESSORS_WORKERS_MAX")
    scaler.add_argument(
        "--decide-only",
        action="store_true",
        help="start no workers; an external scaler (KEDA) reads GET /v1/scaling",
    )
    sweeps = commands.add_parser(
        "sweep",
        help="once: queue the jobs of accepted pairs that have no record, and say how many",
        description="Queue the jobs of accepted pairs that have no record, and tell the index of all posts again where "
        "their counts are lost. An interrupted sweep can be resumed within a day.",
        allow_abbrev=False,
    )
    sweeps.add_argument("--moment", metavar="ID", help="only this moment (default: all that accept posts)")
    sweeps.add_argument("--json", action="store_true", help="print the result as JSON")
    looks = commands.add_parser(
        "inspect",
        help="print the state of store, Redis, queue and workers as JSON (for `python -m deploy check`)",
        allow_abbrev=False,
    )
    looks.add_argument("--moment", metavar="ID", default="", help="also print the state of this moment")
    dead.add_commands(commands)
    account.add_command(commands)
    verify.add_command(commands)
    commands.add_parser(
        "lifecycle", help="print rules by which the bucket removes old posts itself", allow_abbrev=False
    )
    return top


async def sweep(config: Config, storage_config: storage.config.Config, moment_id: str | None, *, as_json: bool) -> None:
    """Sweep one moment, or every moment that accepts posts, once; print the counts."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(storage_config))
        shards = shard_clients(storage_config, redis)
        for client in shards.values():
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        sweeper = Sweeper(store, redis, every_s=config.sweep_every_s, shards=shards)
        swept = await (sweeper.moment(moment_id, time.time()) if moment_id else sweeper.sweep(time.time()))
    print(msgspec.json.encode(swept).decode() if as_json else swept)


def ladder_of(config: Config) -> Ladder:
    """The steps of the file that the settings name; SettingsError when it cannot be read."""
    if not config.ladder_file:
        return ()
    try:
        return parsed(Path(config.ladder_file).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"bad setting SNAPSURGE_PROCESSORS_LADDER_FILE: {config.ladder_file}: {error}") from error


async def serve(
    config: Config, storage_config: storage.config.Config, options: argparse.Namespace, ladder: Ladder
) -> None:
    """Run a worker or the autoscaler until SIGTERM, SIGINT or, with `--until-eof`, the end of standard input."""
    stop = stopping(at_eof=options.until_eof)
    if options.command == "autoscale":
        await autoscale.run(
            config, storage_config, stop, ladder=ladder, decide_only=options.decide_only, log=options.log
        )
    else:
        await worker.run(config, storage_config, stop)


async def _admitted(storage_config: storage.config.Config, program: Coroutine[Any, Any, int | None]) -> int | None:
    """Run the program, unless a Redis does not let it work."""
    try:
        await admitted(storage_config)
    except BaseException:
        program.close()
        raise
    return await program


def _program(
    options: argparse.Namespace, config: Config, storage_config: storage.config.Config, ladder: Ladder
) -> Coroutine[Any, Any, int | None]:
    """What the command runs."""
    match options.command:
        case "sweep":
            return sweep(config, storage_config, options.moment, as_json=options.json)
        case "inspect":
            return inspect_command.run(storage_config, options.moment)
        case "dead":
            return dead.run(options, storage_config)
        case "account":
            return account.run(options, storage_config)
        case "verify":
            return verify.run(options, storage_config)
        case _:
            return serve(config, storage_config, options, ladder)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; exit code 0 done or drained, 1 store, Redis or moment unavailable, 2 bad settings or rights.

    Of a command in `TOLD`: 0 good, 1 bad, 2 could not tell.
    """
    options = parser().parse_args(arguments)
    asked = options.command in PRINTING  # by a person, who reads the log lines too
    logs.set_up(options.command or "worker", "text" if asked else options.log)
    logging.getLogger("arq").setLevel(logging.WARNING)  # At INFO, arq logs two lines for each job.
    try:
        config = load(workers_min=options.workers_min, workers_max=options.workers_max)
        ladder = ladder_of(config)
        storage_config = storage.config.load()
        blob_store(storage_config)
        shard_clients(storage_config, redis_client(storage_config))
    except (SettingsError, ValueError) as error:
        print(f"processors: {error}", file=sys.stderr)
        return 2
    if options.command == "lifecycle":
        return lifecycle.run(storage_config)
    unable = 2 if options.command in TOLD else 1
    try:
        with unwrapped():
            return uvloop.run(_admitted(storage_config, _program(options, config, storage_config, ladder))) or 0
    except RightsMissing:
        return 2
    except NoSuchMoment as error:
        log.error("there is no moment %s", error)  # noqa: TRY400 - the same
        return unable
    except (StoreUnavailable, RedisError, OSError) as error:
        if isinstance(error, BrokenPipeError) and options.command in PRINTING:  # `… | head`: the reader has gone
            return 1
        log.error("%s", reason(error) if isinstance(error, RedisError) else error)  # noqa: TRY400 - the operator needs the sentence, not the stack
        return unable


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
