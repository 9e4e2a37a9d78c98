"""The commands about dead jobs, as a process and on a real Redis: what they print, what they change, how they end."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from deploy.config import Environment
from processors.letters import DeadLetter, DeadLetters
from storage.queue.jobs import ON_TIME

ROOT = Path(__file__).resolve().parents[3]


def environment(redis_url: str, columns: str = "200") -> dict[str, str]:
    """The environment of a command, without settings of this machine."""
    ours = {name: text for name, text in Environment.current().items() if not name.startswith("SNAPSURGE_")}
    return {**ours, "SNAPSURGE_REDIS_URL": redis_url, "COLUMNS": columns}


def said(redis_url: str, *words: str, columns: str = "200") -> tuple[int, str]:
    """Exit code and output of `python -m processors dead …`."""
    command = [sys.executable, "-m", "processors", "dead", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(redis_url, columns), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


@pytest.fixture
async def dead(redis: Redis) -> DeadLetters:
    """Two letters, one of a job whose body could not be read."""
    letters = DeadLetters(redis)
    for job_id, name, args, at in (
        ("render_pair:p", "render_pair", ("m", "p"), "2026-01-01T00:00:00.000Z"),
        ("odd", "odd", (), "2026-01-02T00:00:00.000Z"),
    ):
        letter = DeadLetter(id=job_id, name=name, args=args, error="ValueError('x')", tries=5, at=at, traceback="stack")
        await letters.keep(letter)
    return letters


async def test_letters_are_listed_and_shown(dead: DeadLetters, redis_url: str) -> None:
    """A table or a JSON object a line; one with its stack."""
    code, table = said(redis_url, "list")
    assert (code, "render_pair:p" in table, "ValueError('x')" in table) == (0, True, True)
    code, lines = said(redis_url, "list", "--json")
    listed = [msgspec.json.decode(line, type=DeadLetter) for line in lines.splitlines()]
    assert (code, listed) == (0, await dead.all())
    code, shown = said(redis_url, "show", "render_pair:p")
    assert (code, "stack" in shown, "odd" in shown) == (0, True, False)
    assert said(redis_url, "show", "nobody") == (1, "no dead letter of nobody\n")


async def test_an_error_is_listed_as_it_reads(dead: DeadLetters, redis_url: str) -> None:
    """Brackets in it are no markup: neither swallowed nor a fault of the listing."""
    error = "OSError('not in [front] but [/path]')"
    letter = DeadLetter(id="odd", name="odd", args=(), error=error, tries=5, at="2026-01-02T00:00:00.000Z")
    await dead.keep(letter)
    code, table = said(redis_url, "list")

    assert (code, error in table) == (0, True)


async def test_letters_are_queued_again(dead: DeadLetters, redis: Redis, redis_url: str) -> None:
    """The job waits and its letter is gone; one without arguments stays, and the command says so."""
    code, text = said(redis_url, "requeue", "--all")

    assert (code, "1 queued again" in text, "odd has no arguments" in text) == (1, True, True)
    assert await redis.zrange(ON_TIME, 0, -1) == [b"render_pair:p"]
    assert [one.id for one in await dead.all()] == ["odd"]


async def test_letters_are_forgotten(dead: DeadLetters, redis_url: str) -> None:
    """By id or all."""
    assert said(redis_url, "purge", "odd") == (0, "1 forgotten\n")
    assert [one.id for one in await dead.all()] == ["render_pair:p"]
    assert said(redis_url, "purge", "--all") == (0, "1 forgotten\n")
    assert await dead.all() == []


async def test_ids_are_listed_whole_whatever_the_width(dead: DeadLetters, redis_url: str) -> None:
    """`requeue` needs the whole id, and a pipe has no width: a real id has over a hundred characters."""
    job_id = f"render_pair:{'a' * 26}-{'europe-west' * 6}-20260101-abcdefgh"
    await dead.keep(DeadLetter(id=job_id, name="odd", args=(), error="x" * 300, tries=5, at="t", traceback=""))
    for columns in ("20", ""):
        _, table = said(redis_url, "list", columns=columns)
        assert job_id in [line.split()[0] for line in table.splitlines()]
    assert said(redis_url, "purge", job_id) == (0, "1 forgotten\n")
