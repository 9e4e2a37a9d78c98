"""What log files tell of one upload; the history over HTTP is in tests/e2e/test_trail.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import stack
from deploy.config import Config
from deploy.stack import Process, Stack
from deploy.trail import NoStack, trail
from deploy.trail_words import words

POST = "abcdefghijklmnopqrstuvwxyy-eu-west-20260101-aaaaaaaa"
OTHER = "bbcdefghijklmnopqrstuvwxyy-eu-west-20260101-aaaaaaaa"


def write(folder: Path, name: str, *lines: dict[str, Any] | str) -> None:
    """A log file."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    (logs / name).write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state of a stack that has stopped: a pair was shed by node a, and accepted by node b."""
    record = Stack(
        balancers=(),
        nodes=(),
        redis="",
        store="",
        state="",
        workers=(),
        autoscaler=None,
        servers=(),
        supervisor=Process(1),
    )
    stack.write(record, tmp_path)
    access = {"method": "POST", "path": "/v1/moments/m/posts", "node": "a", "weight": 1}
    write(
        tmp_path, "lb-1.access.log",
        {"at": 1.5, "id": "r1", "status": 503, "label": "mine", **access},
        {"at": 9.25, "id": "r2", "status": 201, **access},
        {"at": 9.3, "id": "r9", "status": 201, **access},
    )  # fmt: skip
    tries = [["r9", OTHER, "created", 1_900], ["r1", POST, "overloaded", 1_501]]
    write(
        tmp_path,
        "node-a.log.1",
        {"at": "1970-01-01T00:00:02.000Z", "text": "2 upload attempts finished", "tries": tries},
    )
    write(tmp_path, "node-a.log", "Traceback of nothing, r1", {"at": "1970-01-01T00:00:03.000Z", "text": "other"})
    write(
        tmp_path, "node-b.log",
        {"at": "1970-01-01T00:00:10.000Z", "text": "1 upload attempts finished",
         "tries": [["r2", POST, "created", 9_251]]},
    )  # fmt: skip
    write(
        tmp_path,
        "autoscaler.log",
        {"at": "1970-01-01T00:00:11.000Z", "text": f"render_pair:{POST} failed", "post": POST},
    )
    return tmp_path


@pytest.mark.parametrize("asked", ["r1", "r2", "mine", POST])
async def test_any_id_leads_to_all_tries(folder: Path, asked: str) -> None:
    """A request id of either try, the client's own, or the post id; rotated files too; no line of another post."""
    found = await trail(asked, folder, Config())

    assert found.post == POST
    assert [(one.request, one.outcome, one.program) for one in found.tries] == [
        ("r1", "overloaded", "node-a"),
        ("r2", "created", "node-b"),
    ]
    assert [one.at for one in found.tries] == ["1970-01-01T00:00:01.501Z", "1970-01-01T00:00:09.251Z"]  # not the line's
    assert [line.file for line in found.lines] == [
        *("lb-1.access.log", "node-a.log.1", "lb-1.access.log", "node-b.log", "autoscaler.log")
    ]
    assert OTHER not in str(found)
    assert found.history is None
    assert "no balancer runs" in found.missing[0]


async def test_an_unknown_id_is_not_found(folder: Path, tmp_path: Path) -> None:
    """Nothing is invented; without a stack there is nothing to ask."""
    found = await trail("nobody", folder, Config())

    assert (found.post, found.tries, found.lines) == ("", [], [])
    with pytest.raises(NoStack, match="deploy up"):
        await trail("nobody", tmp_path / "elsewhere", Config())


async def test_logs_that_are_text_are_told(folder: Path) -> None:
    """They cannot be searched; a traceback between JSON lines is no such log."""
    assert not [why for why in (await trail("r1", folder, Config())).missing if "--log text" in why]
    text = "2026-11-30 15:00:00,123 INFO 77 snapsurge.ingest.tallying: 2 upload attempts finished"
    for name in ("node-c.log", "node-c.log.1", "autoscaler.log"):
        write(folder, name, "a line of something else", text)

    found = await trail("r1", folder, Config())

    assert [why for why in found.missing if "--log text" in why] == [
        "what autoscaler, node-c say: lines of `up --log text` cannot be searched, use JSON lines (the default)"
    ]


async def test_an_id_that_a_client_sends_always_is_of_the_latest_post(folder: Path) -> None:
    """The others are named; a post id is that post alone."""
    access = {"method": "POST", "path": "/p", "node": "a", "weight": 1, "status": 201, "label": "mine"}
    write(folder, "lb-2.access.log", {"at": 20.0, "id": "r20", **access})
    tries = [["r20", OTHER, "created", 20_001]]
    write(
        folder, "node-c.log", {"at": "1970-01-01T00:00:21.000Z", "text": "1 upload attempts finished", "tries": tries}
    )

    found = await trail("mine", folder, Config())

    assert found.post == OTHER
    assert found.missing[0] == f"ambiguous id: it was also sent with uploads of 1 other posts ({POST})"
    assert not [why for why in (await trail(POST, folder, Config())).missing if "which post" in why]


async def test_lines_of_other_programs_are_no_tries(folder: Path) -> None:
    """Whatever they call by that name."""
    odd = [{"text": f"{n} {POST}", "tries": tries} for n, tries in enumerate((5, "r1", [["r1", POST]], {"r1": POST}))]
    write(folder, "minio.log", *odd)

    found = await trail(POST, folder, Config())

    assert [one.request for one in found.tries] == ["r1", "r2"]
    assert [line.file for line in found.lines].count("minio.log") == len(odd)
    assert POST in words(found)
