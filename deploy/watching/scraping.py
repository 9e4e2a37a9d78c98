"""Reads all targets over HTTP, at the same time, each within a time and a size.

A target that fails is a row of the view with a reason, never an error.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from . import targets
from .differences import Reading
from .exposition import Malformed, parse
from .rounds import Round
from .targets import DISCOVERY, Target, TargetsUnknown

# Shorter than the time between two rounds; a program that takes longer is not well.
TIMEOUT_S: Final = 1.5
# A balancer with 1,000 nodes has a page of 1 MiB.
PAGE_BYTES_MAX: Final = 8 * 1024 * 1024
CONNECTIONS_MAX: Final = 256
HEADERS: Final = {"Accept": "text/plain; version=0.0.4", "Accept-Encoding": "identity"}


class Unreadable(Exception):
    """A target did not answer with what it should; the text says why."""


@asynccontextmanager
async def opened(timeout_s: float = TIMEOUT_S) -> AsyncIterator[aiohttp.ClientSession]:
    """The connections of a scraper; each answer must be complete within the time."""
    connector = aiohttp.TCPConnector(limit=0)  # `Scraper` bounds them: here a wait would count as the target's time.
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(
        # No decompression, no redirects: no program of ours sends either, so a stranger at the address cannot use them.
        connector=connector,
        timeout=timeout,
        headers=HEADERS,
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


class Scraper:
    """Reads the programs of a stack's file, or those at `urls`: of each a `/metrics` or a list of them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        stack: Path | None = None,
        urls: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session, self._stack, self._clock = session, stack, clock
        self._urls = [targets.checked(url) for url in urls]
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._listed: dict[str, tuple[Target, ...]] = {}

    async def round(self) -> Round:
        """Read every target once; TargetsUnknown when no target is known."""
        known, failures = await self._known()
        readings = {}
        for target, reading in zip(known, await asyncio.gather(*map(self._read, known)), strict=True):
            if isinstance(reading, Reading):
                readings[target] = reading
            else:
                failures[target] = reading
        return Round(self._clock(), readings, failures)

    async def _known(self) -> tuple[list[Target], dict[Target, str]]:
        """The targets, and the lists of targets that cannot be read, for which the last answer counts."""
        found: dict[str, Target] = {}
        failures: dict[Target, str] = {}
        if self._stack is not None:
            found |= {target.url: target for target in targets.of_stack(self._stack)}
        for url in self._urls:
            if not url.endswith(DISCOVERY):
                found.setdefault(url, Target(url))
                continue
            try:
                # The last list counts while the autoscaler does not answer: its programs still run.
                self._listed[url] = targets.of_discovery(await self._get(url))
            except (Unreadable, TargetsUnknown) as error:
                if url not in self._listed:
                    raise TargetsUnknown(f"{url}: {error}") from error
                failures[Target(url)] = str(error)
            # By URL, because two autoscalers list the same programs.
            found |= {target.url: target for target in self._listed[url]}
        return list(found.values()), failures

    async def _read(self, target: Target) -> Reading | str:
        """The reading of a target, or why there is none."""
        try:
            body = await self._get(target.url)
            return Reading(self._clock(), parse(body.decode()))
        except UnicodeDecodeError:
            return "its page is not UTF-8"
        except (Unreadable, Malformed) as error:
            return str(error)

    async def _get(self, url: str) -> bytes:
        try:
            async with self._places, self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Unreadable(f"it answered {answer.status}")
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > PAGE_BYTES_MAX:
                        raise Unreadable(f"its answer is longer than {PAGE_BYTES_MAX} bytes")
                return bytes(body)
        except TimeoutError as error:
            raise Unreadable("no answer in time") from error
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            raise Unreadable(f"no connection: {os.strerror(number) if number else 'refused'}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreadable(f"the connection broke: {type(error).__name__}") from error
