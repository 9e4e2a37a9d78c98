"""`python -m deploy watch`: its options, one view, a failure in one line, and following a stack until a signal."""

import asyncio
import io
import json
import os
import signal
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from deploy.__main__ import main, parser
from deploy.watching.command import NEAR_S, REST_S, Options, address, options, pause_s, watch
from deploy.watching.view import Flow, Moment, Queue, View
from tests.ports import free_port
from tests.unit.deploy.watching.pages import balancer, node, scaler
from tests.unit.deploy.watching.test_scraping import PATIENCE_S, serving, text


def given(**more: object) -> Options:
    """Options as from a command line."""
    found = {"stack": None, "scrape": (), "listen": None, "prediction": None, "once": True, "as_json": False} | more
    return Options(**found)  # type: ignore[arg-type] # as the names say


async def stack_file(folder: Path, door: str) -> Path:
    """The file of a stack with one program of each kind."""
    tiers = {"node": "a", "balancer": "lb-1", "autoscaler": "autoscaler"}
    listed = [{"tier": tier, "name": name, "url": f"{door}/{tier}"} for tier, name in tiers.items()]
    (file := folder / "stack.json").write_bytes(msgspec.json.encode({"metrics": listed}))
    return file


@pytest.mark.parametrize(("panic", "code"), [(0, 0), (1, 1)])
async def test_one_view_is_one_object_and_the_status_says_if_all_is_well(panic: int, code: int, tmp_path: Path) -> None:
    """`--json` prints nothing else; two rounds are read, so that rates are known."""
    pages = {"node": text(node(accepted=3)), "balancer": text(balancer(panic=panic)), "autoscaler": text(scaler())}
    out, err = io.StringIO(), io.StringIO()
    async with serving(**pages) as door:
        file = await stack_file(tmp_path, door)
        assert await watch(given(stack=file, as_json=True), out, err, timeout_s=PATIENCE_S) == code
    found = json.loads(out.getvalue())
    assert out.getvalue().count("\n") == 1
    assert found["flow"]["accepted"] == 0
    assert found["problems"] == (["balancer lb-1: panic mode"] if panic else [])
    assert [row["name"] for row in found["nodes"]] == ["a"]
    assert err.getvalue() == ""


async def test_one_view_for_people(tmp_path: Path) -> None:
    """The same, drawn."""
    out = io.StringIO()
    pages = {"node": text(node()), "balancer": text(balancer()), "autoscaler": text(scaler())}
    async with serving(**pages) as door:
        assert await watch(given(stack=await stack_file(tmp_path, door)), out, io.StringIO(), timeout_s=PATIENCE_S) == 0
    assert "all well: 3 programs answer" in out.getvalue()


async def test_it_serves_the_page_until_a_signal_and_reads_once_for_all(tmp_path: Path) -> None:
    """Without a terminal it prints the events as lines; SIGTERM ends it with 0, also with a page open."""
    reads, port = 0, free_port()

    async def counted(_: web.Request) -> web.Response:
        nonlocal reads
        reads += 1
        return web.Response(text=balancer(panic=int(reads > 1)))

    err, seen = io.StringIO(), []
    pages = {"node": text(node()), "balancer": counted, "autoscaler": text(scaler())}
    async with serving(**pages) as door, asyncio.TaskGroup() as group:
        file = await stack_file(tmp_path, door)
        watching = group.create_task(
            watch(given(stack=file, once=False, listen=("127.0.0.1", port)), io.StringIO(), err, timeout_s=PATIENCE_S)
        )
        async with asyncio.timeout(60):
            while "live view" not in err.getvalue():  # noqa: ASYNC110 - what it prints is what a person waits for
                await asyncio.sleep(0)
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                seen.append((reader, writer))
            views = [await reader.readuntil(b"data: {") for reader, _ in seen]
        before = reads
        os.kill(os.getpid(), signal.SIGTERM)
        assert await watching == 0
        for _, writer in seen:
            writer.close()
    assert len(views) == 5
    assert before <= 3
    assert f"deploy: the live view is at http://127.0.0.1:{port}/" in err.getvalue()
    assert err.getvalue().count("panic mode at balancer lb-1") == 1


@pytest.mark.parametrize(
    ("since_s", "offered", "ready", "pause"),
    [
        (None, None, 0.0, REST_S),
        (-91.0, 0.0, 0.0, REST_S),
        (-90.0, 0.0, 0.0, NEAR_S),
        (210.0, 0.0, 0.0, NEAR_S),
        (211.0, 0.0, 0.0, REST_S),
        (211.0, 0.5, 0.0, NEAR_S),
        (None, 0.0, 1.0, NEAR_S),
    ],
)
def test_it_reads_more_often_when_something_happens(
    since_s: float | None, offered: float | None, ready: float, pause: float
) -> None:
    """Around a moment, or with uploads or jobs."""
    moment = since_s if since_s is None else Moment(id="m", region="eu", fires_at=0, closes_at=120, since_s=since_s)
    queue = Queue(leader="x", ready=ready, leased=0, deferred=0, oldest_s=0, workers=1, desired=1, dead=0)
    found = View(at=0, moment=moment or None, flow=Flow(offered=offered), queue=queue)  # type: ignore[arg-type] # no float
    assert pause_s(found) == pause


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--scrape", "x"], "'x' is not an address like http://127.0.0.1:8090/metrics"),
        (["--scrape", "http://127.0.0.1:1/metrics", "--once"], "no program answers: 127.0.0.1:1"),
        (["--stack", "/nowhere/stack.json"], "/nowhere/stack.json cannot be read"),
        (["--stack", "/nowhere/stack.json", "--listen", "8099"], "--listen 8099: not like 127.0.0.1:8099"),
        (["--prediction", "/nowhere.json"], "/nowhere.json"),
        (["--prediction", "pyproject.toml"], "pyproject.toml: not a sealed prediction"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, nothing on stdout."""
    assert main(["watch", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("deploy: ")
    assert why in shown.err
    assert shown.err.count("\n") == 1


def test_options_follow_the_contract() -> None:
    """A stack's file by default; --json means --once; addresses instead of the file."""
    plain = options(parser().parse_args(["watch"]))
    assert plain == given(stack=Path(".snapsurge/stack.json"), once=False)
    words = ["watch", "--scrape", "http://a:1/metrics", "http://b:2/v1/targets", "--json", "--listen", "[::1]:8099"]
    found = options(parser().parse_args(words))
    assert found == given(scrape=tuple(words[2:4]), as_json=True, listen=("::1", 8099))
    with pytest.raises(SystemExit):
        parser().parse_args(["watch", "--stack", "x", "--scrape", "http://a:1"])


@pytest.mark.parametrize("text_", ["", ":8099", "host", "host:", "host:x", "host:65536", "host:-1"])
def test_an_address_to_listen_on_is_checked(text_: str) -> None:
    """From both sides."""
    with pytest.raises(ValueError, match="not like"):
        address(text_)
    assert address("0.0.0.0:65535") == ("0.0.0.0", 65535)  # noqa: S104 - nothing is bound
