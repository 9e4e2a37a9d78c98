"""`up`: runs a stack until a signal, and prints its addresses and example commands.

With `--json`, stdout carries exactly one line, for programs; the text for people goes to stderr.
"""

import asyncio
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import msgspec
from PIL import Image

from .config import Config
from .local import LocalStack, running
from .plan import Options
from .tokens import token

TOKEN_TTL_S: Final = 12 * 3600
SAMPLE_SIZE: Final = (1200, 1600)


async def up(options: Options, folder: Path, config: Config, *, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Run a stack until a signal; 0 after a drain, 1 when it was killed. Raises the errors of `local.running`."""
    people = err if as_json else out
    local = None
    try:
        async with running(options, folder, config, say=partial(say, err)) as local:
            photos = sample_photos(local.state)
            if as_json:
                print(msgspec.json.encode(local.record().ready()).decode(), file=out, flush=True)
            say(people, welcome(local, photos, time.time()))
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if task := asyncio.current_task():
            # The signal asked for this end, and the drain is done: it is no cancellation for the caller.
            task.uncancel()
    return int(bool(local and local.killed))


def say(err: TextIO, text: str) -> None:
    """Print a line for people; ignore a closed output, so that the stack keeps running."""
    with suppress(OSError):
        print(text, file=err, flush=True)


def sample_photos(folder: Path) -> tuple[Path, Path]:
    """Write a front and a back photo for a test upload: two gradients, one warm and one cold."""
    paths = folder / "front.jpg", folder / "back.jpg"
    for path, first, last in zip(paths, ("orange", "navy"), ("crimson", "turquoise"), strict=True):
        grey = Image.linear_gradient("L").resize(SAMPLE_SIZE)
        Image.composite(Image.new("RGB", SAMPLE_SIZE, first), Image.new("RGB", SAMPLE_SIZE, last), grey).save(path)
    return paths


def welcome(local: LocalStack, photos: tuple[Path, Path], now: float) -> str:
    """The text shown when the stack is ready: its addresses, and commands that open a moment and post to it."""
    record, secret = local.record(), local.plan.secret
    door = record.balancers[0].url
    ops = token(secret, "ops", "ops", now=now, ttl_s=TOKEN_TTL_S)
    phone = token(secret, "me", "upload", now=now, ttl_s=TOKEN_TTL_S)
    lines = [f"  balancer  {each.url}  (admin {each.admin}, pid {each.pid})" for each in record.balancers]
    lines += [f"  node {each.id}    {each.url}  (pid {each.pid})" for each in record.nodes]
    lines += [f"  metrics   {record.prometheus}"] if record.prometheus else []
    lines += [f"  redis     {record.redis}", f"  store     {record.store}", f"  API page  {door}/docs"]
    lines += [f"  logs      {local.state / 'logs'}", f"  pids      {local.file}"]
    return "\n".join(
        [
            "The stack is ready.",
            *lines,
            "Open a moment and post to it (the tokens are good for twelve hours):",
            f"  MOMENT=$(curl -s {door}/v1/moments -H 'Authorization: Bearer {ops}' \\",
            """    -H 'Content-Type: application/json' -d '{"region":"eu"}' | sed 's/.*"id": *"\\([^"]*\\)".*/\\1/')""",
            f"  curl -i {door}/v1/moments/$MOMENT/posts -H 'Authorization: Bearer {phone}' \\",
            f"    -F front=@{photos[0]} -F back=@{photos[1]}",
            "Ctrl-C drains and stops it.",
        ]
    )
