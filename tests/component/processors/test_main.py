"""The command line: help with every setting, one line and exit 2 for a bad one, `sweep` once."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

import storage.config
from processors.__main__ import main, parser
from processors.config import Config

ROOT = Path(__file__).resolve().parents[3]


def said(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What `python -m processors …` answers."""
    command = [sys.executable, "-m", "processors", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_help_lists_every_setting() -> None:
    """Ours and those of storage."""
    text = parser().format_help()

    for config in (Config, storage.config.Config):
        for field in msgspec.structs.fields(config):
            assert field.encode_name in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNAPSURGE_PROCESSORS_JOBS_MAX", "none"),
        ("SNAPSURGE_PROCESSORS_JOBZ_MAX", "1"),
        ("SNAPSURGE_STORE_URL", "ftp://example"),
        ("SNAPSURGE_REDIS_URL", "http://example"),
        ("SNAPSURGE_REDIS_URL", "redis+sentinel://h:1,h:2"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """No stack, and nothing is started."""
    monkeypatch.setenv(name, value)

    assert main([]) == 2

    _, error = capsys.readouterr()
    assert len(error.splitlines()) == 1


def test_a_bad_ladder_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file and what is wrong with it."""
    file = tmp_path / "ladder.json"
    monkeypatch.setenv("SNAPSURGE_PROCESSORS_LADDER_FILE", str(file))
    said = []
    for text in (None, '{"ladder": [{"at_s": 0, "tier": "nodes", "count": 1}]}'):
        if text:
            file.write_text(text)
        assert main(["autoscale"]) == 2
        said += capsys.readouterr().err.splitlines()

    assert len(said) == 2
    assert "No such file" in said[0]
    assert "step 0: unknown tier 'nodes'" in said[1]


def test_a_store_that_cannot_be_opened_is_exit_1(tmp_path: Path, redis_url: str) -> None:
    """For a supervisor to try again; the reason is logged in a line."""
    (tmp_path / "file").write_text("not a folder")
    done = said(SNAPSURGE_STORE_URL=f"file://{tmp_path}/file/store", SNAPSURGE_REDIS_URL=redis_url)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_sweep_without_redis_is_exit_1(tmp_path: Path, free_port: int) -> None:
    """It says so instead of showing a stack."""
    url = f"redis://127.0.0.1:{free_port}/0"
    done = said("sweep", SNAPSURGE_STORE_URL=f"file://{tmp_path}/store", SNAPSURGE_REDIS_URL=url)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


async def test_sweep_runs_once_and_says_what_it_did(world: Any, redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """A moment that is open now, with one forgotten post."""
    moment = await world.moments.create("us-east", time.time_ns() // 1_000_000 - 1000, 120)
    world.moment_id = moment.id
    post_id = await world.post()

    done = said("sweep", SNAPSURGE_STORE_URL=f"file://{tmp_path}/store", SNAPSURGE_REDIS_URL=redis_url)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "1 moments, 1 posts, 1 unfinished: 2 jobs queued, 0 leftovers of deleted posts removed, "
        "0 posts reported to the index again, 0 posts with a lost pair\n"
    )
    assert await world.queued() == [f"flag_late:{post_id}", f"render_pair:{post_id}"]


async def test_one_moment_is_swept_by_its_id_and_told_as_json(world: Any, redis_url: str, tmp_path: Path) -> None:
    """However old it is; an id that nobody knows is exit 1."""
    await world.post(told=False)
    store = {"SNAPSURGE_STORE_URL": f"file://{tmp_path}/store", "SNAPSURGE_REDIS_URL": redis_url}

    done = said("sweep", "--moment", world.moment_id, "--json", **store)
    unknown = said("sweep", "--moment", "eu-20260101-none", **store)

    assert msgspec.json.decode(done.stdout, type=dict[str, int])["queued"] == 2
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (1, False)
