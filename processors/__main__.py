"""`python -m processors`: one worker; `autoscale`: as many as the queue needs; `sweep`, `dead`: for ops, once."""

import argparse
import logging
import sys
import time
from collections.abc import Coroutine
from typing import Any

import uvloop
from redis.exceptions import RedisError

import storage.config
from storage.blobs import StoreUnavailable
from storage.opening import blob_store, queue_clients, redis_client
from storage.settings import SettingsError, table

from . import autoscale, dead, worker
from .config import Config, load
from .stopping import stopping
from .sweeper import Sweeper

log = logging.getLogger("snapsurge.processors.main")


def parser() -> argparse.ArgumentParser:
    """The command line; `--help` ends with every setting."""
    settings = table(Config, storage.config.Config)
    top = argparse.ArgumentParser(
        prog="python -m processors",
        description="Render accepted pairs. Without a command: one worker process, until SIGTERM.",
        epilog=f"settings, from the environment:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.set_defaults(workers_min=None, workers_max=None)
    top.add_argument(
        "--until-eof", action="store_true", help="stop, as on SIGTERM, when standard input ends: the parent is gone"
    )
    commands = top.add_subparsers(dest="command", title="commands")
    scaler = commands.add_parser("autoscale", help="keep as many workers as the queue needs, and sweep")
    scaler.add_argument("--workers-min", type=int, help="instead of SNAPSURGE_PROCESSORS_WORKERS_MIN")
    scaler.add_argument("--workers-max", type=int, help="instead of SNAPSURGE_PROCESSORS_WORKERS_MAX")
    commands.add_parser("sweep", help="once: queue the jobs of accepted pairs that have no record, and say how many")
    dead.add_commands(commands)
    return top


async def sweep(config: Config, storage_config: storage.config.Config) -> None:
    """Every moment that accepts posts, once."""
    async with redis_client(storage_config) as redis, blob_store(storage_config) as store:
        print(await Sweeper(store, redis, every_s=config.sweep_every_s).sweep(time.time()))


async def serve(config: Config, storage_config: storage.config.Config, *, at_eof: bool, scaling: bool) -> None:
    """A worker or the autoscaler, until told to stop."""
    stop = stopping(at_eof=at_eof)
    if scaling:
        await autoscale.run(config, storage_config, stop)
    else:
        await worker.run(config, storage_config, stop)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done or drained, 1 something we need is away, 2 a setting is wrong."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s")
    logging.getLogger("arq").setLevel(logging.WARNING)  # below that it writes two lines a job
    try:
        config = load(workers_min=options.workers_min, workers_max=options.workers_max)
        storage_config = storage.config.load()
        blob_store(storage_config)
        redis_client(storage_config)
        queue_clients(storage_config)
    except (SettingsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    program: Coroutine[Any, Any, int | None]
    if options.command == "sweep":
        program = sweep(config, storage_config)
    elif options.command == "dead":
        program = dead.run(options, storage_config)
    else:
        scaling = options.command == "autoscale"
        program = serve(config, storage_config, at_eof=options.until_eof, scaling=scaling)
    try:
        return uvloop.run(program) or 0
    except (StoreUnavailable, RedisError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - the operator needs the sentence, not the stack
        return 1


if __name__ == "__main__":
    sys.exit(main())
