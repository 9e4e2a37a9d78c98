"""`python -m deploy watch`: reads the programs again and again, and shows each view in the terminal and on the page."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

import msgspec
from rich.console import Console
from rich.live import Live

from ..stack import FILE
from .feed import Feed
from .observer import Observer
from .prediction import Prediction, PredictionUnreadable, decode
from .scraping import TIMEOUT_S, Scraper, opened
from .serving import Service, frame, served
from .targets import TargetsUnknown
from .terminal import drawn, fitted, line
from .view import BEFORE_S, View

# Around a moment, and while uploads or jobs are there. What a read costs the programs is known (README.md).
NEAR_S: Final = 3.0
REST_S: Final = 5.0
ONCE_S: Final = 1.0  # Between the two rounds that one view takes.


def add_arguments(command: argparse.ArgumentParser, state: Path) -> None:
    """The options of the command."""
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--stack", metavar="FILE", type=Path, default=state / FILE, help="stack.json of the stack (%(default)s)"
    )
    where.add_argument(
        "--scrape",
        metavar="URL",
        nargs="+",
        default=[],
        help="addresses of /metrics, or of an autoscaler's /v1/targets, which lists all programs",
    )
    command.add_argument("--listen", metavar="HOST:PORT", help="also serve the view as a web page (default: no)")
    command.add_argument("--prediction", metavar="FILE", type=Path, help="a sealed prediction, to show its bands")
    command.add_argument("--once", action="store_true", help="print one view and exit: 0 no problem, 1 a problem")
    command.add_argument("--json", action="store_true", help="print one view as JSON and exit, as --once")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; `listen` is host and port, `stack` is None with `scrape`."""

    stack: Path | None
    scrape: tuple[str, ...]
    listen: tuple[str, int] | None
    prediction: Prediction | None
    once: bool
    as_json: bool


def options(args: argparse.Namespace) -> Options:
    """The options; ValueError or OSError when one cannot be used."""
    try:
        prediction = None if args.prediction is None else decode(args.prediction.read_bytes())
    except PredictionUnreadable as error:
        raise ValueError(f"{args.prediction}: {error}") from error
    return Options(
        stack=None if args.scrape else args.stack,
        scrape=tuple(args.scrape),
        listen=None if args.listen is None else address(args.listen),
        prediction=prediction,
        once=args.once or args.json,
        as_json=args.json,
    )


def address(text: str) -> tuple[str, int]:
    """Host and port; ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError(f"--listen {text}: not like 127.0.0.1:8099")
    return host, int(port)


def pause_s(found: View) -> float:
    """Seconds until the next round."""
    queue, moments = found.queue, (*((found.moment,) if found.moment else ()), *found.others)
    near = any(-BEFORE_S <= one.since_s <= one.closes_at - one.fires_at + BEFORE_S for one in moments)
    busy = bool(found.flow.offered) or (queue is not None and queue.ready + queue.leased > 0)
    return NEAR_S if near or busy else REST_S


async def watch(given: Options, out: TextIO, err: TextIO, *, timeout_s: float = TIMEOUT_S) -> int:
    """Run the command until a signal; its exit status. TargetsUnknown, OSError."""
    observer = Observer(given.prediction)
    async with opened(timeout_s) as session:
        scraper = Scraper(session, stack=given.stack, urls=given.scrape)
        if given.once:
            observer.add(await scraper.round())
            await asyncio.sleep(ONCE_S)
            # The second round: a rate needs two readings.
            return _once(observer.add(await scraper.round()), out, as_json=given.as_json)
        async with AsyncExitStack() as stack:
            feed, shows = Feed(), [_words(err)]
            observer.add(first := await scraper.round())
            if not first.readings and not first.failures:
                print("deploy: no program runs there yet, waiting", file=err)
            if given.listen:
                service = Service(feed, given.prediction)
                url = await stack.enter_async_context(served(*given.listen, service, feed))
                print(f"deploy: the live view is at {url}", file=err, flush=True)
                # One loop reads for the terminal and for all pages, so that pages cost the programs nothing.
                shows.append(lambda found: feed.publish(frame(found)))
            if out.isatty():
                live = Live(console=(console := Console(file=out)), screen=True, auto_refresh=False)
                # On a terminal the events are in the view, so the lines of `_words` would repeat them.
                shows = [*shows[1:], lambda found: live.update(fitted(found, console), refresh=True)]
                stack.enter_context(live)
            with suppress(asyncio.CancelledError), ending():
                await _follow(scraper, observer, shows)
    return 0


async def _follow(scraper: Scraper, observer: Observer, shows: list[Callable[[View], None]]) -> None:
    """Read and show, until cancelled."""
    wait_s = REST_S
    while True:
        began = time.monotonic()
        with suppress(TargetsUnknown):  # A stack that stops and starts again has no file for a while.
            found = observer.add(await scraper.round())
            for show in shows:
                show(found)
            wait_s = pause_s(found)
        # At least half a second, however long a round took: programs that are slow to answer are not asked without a
        # pause.
        await asyncio.sleep(max(wait_s - (time.monotonic() - began), 0.5))


def _words(err: TextIO) -> Callable[[View], None]:
    """Without a terminal: each event once, as a line."""
    shown_at = 0.0

    def show(found: View) -> None:
        nonlocal shown_at
        for event in found.events:
            if event.at > shown_at:
                print(f"deploy: {line(event).strip()}", file=err, flush=True)
        shown_at = found.at

    return show


def _once(found: View, out: TextIO, *, as_json: bool) -> int:
    if not found.read:
        raise TargetsUnknown("no program answers: " + (", ".join(found.silent) or "none is listed"))
    if as_json:
        print(msgspec.json.encode(found).decode(), file=out, flush=True)
    else:
        Console(file=out, highlight=False).print(drawn(found))
    return int(bool(found.problems))


@contextmanager
def ending() -> Iterator[None]:
    """Inside the block, SIGINT and SIGTERM cancel this task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, lambda: task.cancel() if task else None)
    try:
        yield
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)


def run(args: argparse.Namespace, _: object) -> int:
    """Run `watch`; its exit status. TargetsUnknown, ValueError: it could not run."""
    try:
        return asyncio.run(watch(options(args), sys.stdout, sys.stderr))
    # Of the listener: its port is in use.
    except OSError as error:
        raise ValueError(str(error)) from error
