"""Follows one upload through all tiers of a stack on this machine: from log lines, and from the history of its post.

A request id leads to its post, the post to all of its tries, and their request ids to the log lines.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from . import stack
from .config import Config
from .rotation import ENDING
from .tokens import token

ASK_S: Final = 5.0
TTL_S: Final = 60
LINES_MAX: Final = 1000
LABELLED_MAX: Final = 100  # requests of one client's id that are looked for
POSTS_SHOWN: Final = 5
HEAD_BYTES: Final = 65_536  # of a log file, to tell its form
_TEXT_LINE: Final = re.compile(rb"^\d{4}-\d\d-\d\d [\d:,]{12} [A-Z]+ \d+ [\w.]+: ", re.MULTILINE)


class NoStack(Exception):
    """The state directory is of no stack; the text is one line."""


class Try(msgspec.Struct, frozen=True):
    """A try of the post at a node, and how and when it ended."""

    request: str
    outcome: str
    at: str
    program: str


class Line(msgspec.Struct, frozen=True):
    """A log line of a program: when, which file it is from, and what it says."""

    at: str
    file: str
    said: dict[str, Any]


class Trail(msgspec.Struct, frozen=True):
    """All that is known of one upload; `missing` says what could not be asked."""

    id: str
    post: str
    tries: list[Try]
    history: dict[str, Any] | None
    lines: list[Line]
    missing: list[str]


async def trail(asked: str, folder: Path, config: Config) -> Trail:
    """The trail of a request id or a post id; NoStack."""
    try:
        record = stack.read(folder)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoStack(
            f"{folder} is of no stack ({error}): start one with `python -m deploy up`, or name --state"
        ) from None
    files = _files(folder)
    texts = _texts(files)
    post, *others = _posts(asked, files) or [""]
    tries, missing = list[Try](), list[str]()
    if others:
        names = ", ".join(others[:POSTS_SHOWN]) + (", …" if others[POSTS_SHOWN:] else "")
        missing.append(f"ambiguous id: it was also sent with uploads of {len(others)} other posts ({names})")
    if post:
        # A node's lines say which request was a try of which post, refused ones included.
        tries = list(_tries_of(post, files))
    # The id itself, too: a request that a balancer refused is in no node's log.
    ids = {asked, *(one.request for one in tries), *([post] if post else [])} - {""}
    # Not all there were: under load the balancers sample their access lines (`weight`).
    lines = sorted(_lines(ids, files), key=lambda line: line.at)
    if len(lines) > LINES_MAX:
        missing.append(f"{len(lines) - LINES_MAX} more log lines name this id")
    history = None
    if post:
        history, why = await _history(post, [each.url for each in record.balancers], config)
        missing += [why] if why else []
    else:
        missing.append("no node's log line says which post this request was for")
    if texts:
        names = ", ".join(texts[:POSTS_SHOWN]) + (", …" if texts[POSTS_SHOWN:] else "")
        missing.append(f"what {names} say: lines of `up --log text` cannot be searched, use JSON lines (the default)")
    return Trail(asked, post, sorted(tries, key=lambda one: one.at), history, lines[:LINES_MAX], missing)


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("logs/*.log"), *folder.glob(f"logs/*.log{ENDING}")])


def _texts(files: Iterable[Path]) -> list[str]:
    """The programs whose log has no JSON, though it has lines like those of `--log text`."""
    found = []
    for path in files:
        with path.open("rb") as file:
            first = file.read(HEAD_BYTES)
        if _TEXT_LINE.search(first) and b'\n{"' not in b"\n" + first:
            found.append(path.name.partition(".")[0])
    return sorted(set(found))


def _read(files: Iterable[Path], words: Iterable[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The JSON lines that contain one of these words."""
    wanted = [word.encode() for word in words]
    for path in files:
        with path.open("rb") as file:
            for raw in file:
                if any(word in raw for word in wanted):
                    try:
                        said = msgspec.json.decode(raw, type=dict[str, Any])
                    except (ValueError, RecursionError):
                        continue  # a traceback, or a line of --log text
                    yield path, said


def _told(said: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    """The tries that a node's line names; another program may mean something else by the word."""
    try:
        return msgspec.convert(said.get("tries", ()), list[tuple[str, str, str, int]])
    except msgspec.ValidationError:
        return []


def _posts(asked: str, files: Iterable[Path]) -> list[str]:
    """The post id that this is, or those that requests of this id were tries of, the latest first.

    A client may send the same id with every request, so it may be that of many posts.
    """
    requests = {asked}
    for path, said in _read(files, [asked]):
        if said.get("label") == asked and path.name.find(".access.") > 0 and len(requests) <= LABELLED_MAX:
            requests.add(str(said.get("id")))
    found: dict[str, str] = {}
    for _, said in _read(files, requests):
        for request, post, _, _ in _told(said):
            if asked == post:
                return [post]
            if request in requests:
                found[post] = max(found.get(post, ""), str(said.get("at")))
    if found:
        return sorted(found, key=lambda post: found[post], reverse=True)
    # It looks like a post id (26 characters, "-", moment id) but no line names it: the logs may have been rotated, and
    # the history still knows it.
    return [asked] if asked.count("-") > 1 and asked[:26].isalnum() and asked[26:27] == "-" else []


def _tries_of(post: str, files: Iterable[Path]) -> Iterator[Try]:
    for path, said in _read(files, [post]):
        for request, other, outcome, ended_ms in _told(said):
            if other == post:
                yield Try(request, outcome, _time(ended_ms / 1000), path.name.partition(".")[0])


def _time(unix_s: float) -> str:
    """As log lines have it; empty for a number that is no time."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    except (ValueError, OverflowError, OSError):
        return ""


def _lines(ids: set[str], files: Iterable[Path]) -> Iterator[Line]:
    """The lines of these ids; of a line with many tries only theirs."""
    for path, said in _read(files, ids):
        shown = dict(said)
        shown.pop("tries", None)
        if told := _told(said):
            shown["tries"] = [one for one in told if ids & set(one)]
            if not shown["tries"]:
                continue
            shown["text"] = f"{len(shown['tries'])} upload attempts finished"
        at = shown.pop("at", "")
        if isinstance(at, float | int):  # an access line
            at = _time(at)
        yield Line(str(at), path.name, shown)


async def _history(post: str, doors: Iterable[str], config: Config) -> tuple[dict[str, Any] | None, str]:
    """The history by the first balancer that answers, and why there is none."""
    bearer = token(config.auth_secret, "trail", "ops", now=datetime.now(UTC).timestamp(), ttl_s=TTL_S)
    why = "no balancer runs, so nobody can be asked for the history"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S)) as session:
        for door in doors:
            url = f"{door}/v1/posts/{post}/history"
            try:
                async with session.get(url, headers={"Authorization": f"Bearer {bearer}"}) as answer:
                    said = await answer.json(content_type=None)
                    if answer.status == 200:
                        return said, ""
                    why = f"the history is not known: {answer.status} {said.get('code')}, {said.get('detail')}"
                    # Every balancer would give the same answer.
                    if answer.status < 500:
                        break
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why = f"{door} does not answer: {error!r}"
    return None, why
