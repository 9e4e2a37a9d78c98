"""The examples of each draft, replayed byte for byte through a balancer to a node; every field is checked.

`drafts/version-*.txt` are the examples of draft-ietf-httpbis-resumable-upload as they stand in its -01, -03, -05 and
-11 (interop versions 3, 5, 6, 8). Adapted are paths, lengths and offsets; added are the token, the media type of the
form, and in 8, whose examples leave it out, the version. Where an answer is another one, the test says so and why.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.e2e.lone_node import LoneNode, lone_node, pair, token
from tests.e2e.test_lb_harness import balancer
from tests.ports import free_port
from tests.resumable import VERSIONS, Answer, Connection, Peer

pytestmark = pytest.mark.e2e

BODY = pair(1_600_000)
AT, PIECE = 200_001, 1 << 16
POST = re.compile(r"/v1/posts/[\w-]+")
UPLOAD = re.compile(r"/v1/uploads/[0-9a-f]{16}\.[\w-]{22}")


class Message(NamedTuple):
    """A request or an answer of a draft: its first line, its fields in lower case, its body."""

    line: str
    fields: dict[str, str]
    body: str


def message(head: str) -> Message:
    """One that stands in an example; version 3 writes them as HTTP/2 has them."""
    lines = [line for line in head.split("\n") if not line.startswith("[")]
    if not head.startswith(":"):
        return Message(lines[0], dict(line.lower().split(": ", 1) for line in lines[1:]), "")
    fields = dict(line.lstrip(":").split(": ", 1) for line in lines)
    if status := fields.pop("status", ""):
        phrase = "Upload Resumption Supported" if status == "104" else HTTPStatus(int(status)).phrase
        return Message(f"HTTP/1.1 {status} {phrase}", fields, "")
    fields["host"] = fields.pop("authority")
    del fields["scheme"]
    return Message(f"{fields.pop('method')} {fields.pop('path')} HTTP/1.1", fields, "")


def examples(version: str) -> tuple[list[tuple[Message, list[Message]]], dict[str, Message]]:
    """The exchanges of a version in their order, and its problems by the last word of their type."""
    text = (Path(__file__).parent / "drafts" / f"version-{version}.txt").read_text().strip()
    exchanges: list[tuple[Message, list[Message]]] = []
    problems = {}
    for block in re.sub(r"\\\n +", "", text).replace("\n~~~\n", "\n\n").split("\n\n"):
        if block.startswith(("POST", "HEAD", "PATCH", "DELETE", ":method")):
            exchanges.append((message(block), []))
        elif block.startswith(("HTTP/1.1", ":status")):
            answer = message(block)
            exchanges[-1][1].append(answer)
        elif block.startswith('{\n  "type"'):
            problem = exchanges[-1][1].pop()._replace(body=block)
            problems[msgspec.json.decode(block)["type"].split("#")[1]] = problem
    return exchanges, problems


def bytes_of(message: Message, path: str, added: dict[str, str], **lengths: int) -> bytes:
    """A request as the draft has it, with this path, these lengths, and what an upload needs here."""
    fields = message.fields | {name.replace("_", "-"): str(value) for name, value in lengths.items()} | added
    assert len(fields) == len(message.fields) + len(added)  # a length that the example does not have is none of it
    lines = [f"{message.line.split()[0]} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def check(example: Message, answer: Answer, line: str = "", **ours: str | re.Pattern[str] | None) -> None:
    """Every field of the example is in the answer, with its value or with ours; None: not in it."""
    assert answer.line == (line or example.line)
    fields = dict(one.split(": ", 1) for one in answer.raw.decode().split("\r\n")[1:])
    got = {name.lower(): value for name, value in fields.items()}
    for name, value in example.fields.items():
        want = ours.pop(name.replace("-", "_"), value)
        if isinstance(want, re.Pattern):
            assert want.fullmatch(got[name]), (name, got)
        else:
            assert got.get(name) == want, (name, got)
    assert not ours  # each is about a field of the example


class Replay:
    """One version at a balancer."""

    def __init__(self, version: str, port: int, node: LoneNode) -> None:
        self.version, self.node = version, node
        self.exchanges, self.problems = examples(version)
        self.peer = Peer(port, token("alice"), version)
        self.moment = node.moment()
        self.added = {"authorization": f"Bearer {self.peer.bearer}"}
        if version == "8":
            self.added["upload-draft-interop-version"] = "8"

    def fresh(self) -> str:
        """The path to post to, of a moment without a post of this user."""
        self.moment = self.node.moment()
        return f"/v1/moments/{self.moment}/posts"

    def creation(self, number: int, path: str, **lengths: int) -> bytes:
        """The head of the example with this number."""
        form = {"content-type": "multipart/form-data; boundary=x"}
        return bytes_of(self.exchanges[number][0], path, self.added | form, **lengths)

    def other(self, number: int, location: str, **lengths: int) -> bytes:
        """The head of an example about an upload that is there."""
        return bytes_of(self.exchanges[number][0], location, self.added, **lengths)

    async def told(self, head: bytes, content: bytes) -> Answer:
        """Send so slowly that a 104 with an offset comes; then the rest."""
        interim: list[Answer] = []
        async with await self.peer.connect() as connection:
            connection.send(head)
            for start in range(0, len(content), PIECE):
                connection.send(content[start : start + PIECE])
                if start + PIECE < len(content) and not any("upload-offset" in one.fields for one in interim):
                    interim += await _heard(connection)
            answer = await connection.answer()
        answer.interim = interim + answer.interim
        return answer


async def _heard(connection: Connection) -> list[Answer]:
    heard = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            heard.append(await connection.one())
    return heard


@pytest.fixture(params=VERSIONS)
async def replay(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> AsyncIterator[Replay]:
    """A node, and a balancer before it."""
    with lone_node(tmp_path, redis_url, free_port(), user_uploads_burst=10_000) as node:
        async with balancer(("a", node.port), hash_on="bearer-sub") as front:
            yield Replay(request.param, front.port, node)


def lengths(replay: Replay, number: int) -> dict[str, int]:
    """`Upload-Length`, where the example has it."""
    return {"upload_length": len(BODY)} if "upload-length" in replay.exchanges[number][0].fields else {}


async def test_the_examples_of_a_creation(replay: Replay) -> None:
    """Whole: 104 with the upload, 104 with an offset, the answer of the post. A part: 201 with the upload."""
    _, answers = replay.exchanges[0]
    head = replay.creation(0, replay.fresh(), content_length=len(BODY), **lengths(replay, 0))
    got = await replay.told(head, BODY)
    limit = {"upload_limit": re.compile(r".*max-size=33574912.*")}
    check(answers[0], got.interim[0], location=UPLOAD, **(limit if replay.version == "8" else {}))
    if replay.version == "3":
        assert len(got.interim) == 1
    else:  # version 6: an example has the limits here, we have them in the first 104; the draft leaves it open
        offset = {"upload_offset": re.compile(r"[1-9]\d*")}
        check(answers[1], got.interim[1], **offset, **({"upload_limit": None} if replay.version == "6" else {}))
    assert int(got.interim[-1].fields.get("upload-offset", "0")) <= len(BODY)
    # No limits of an upload that is over: 6 and 8 leave it open. 8: the answer is that of the post, which is 201.
    over = {"upload_limit": None} if replay.version in "68" else {}
    if replay.version == "8":
        check(answers[-1], got, "HTTP/1.1 201 Created", location=POST, **over)
    else:
        check(answers[-1], got, location=got.interim[0].location, upload_offset=str(len(BODY)), **over)
    _, answers = replay.exchanges[1]
    head = replay.creation(1, replay.fresh(), content_length=AT, **lengths(replay, 1))
    got = await replay.peer.ask(head + BODY[:AT])
    if replay.version == "8":
        check(answers[0], got.interim[0], location=UPLOAD)
    offset = {} if replay.version == "8" else {"upload_offset": str(AT)}
    limit = limit if replay.version in "68" else {}
    check(answers[-1], got, location=got.interim[0].location, **offset, **limit)


def _rest(replay: Replay) -> int:
    return 6 if replay.version == "8" else 3


async def test_the_examples_of_an_upload_that_was_broken(replay: Replay) -> None:
    """HEAD, PATCH, DELETE."""
    first = 4 if replay.version == "8" else 2
    location = await replay.peer.broken(replay.fresh().split("/")[3], BODY, AT)
    got = await replay.peer.ask(replay.other(first, location))
    told = {"upload_length": str(len(BODY)), "upload_limit": re.compile(r".*max-age=\d+")}
    check(replay.exchanges[first][1][0], got, upload_offset=str(AT), **(told if replay.version == "8" else {}))
    number, at = _rest(replay), AT
    if replay.version == "8":
        middle = len(BODY) - 100_000
        head = replay.other(number, location, upload_offset=AT, content_length=middle - AT)
        got = await replay.told(head, BODY[AT:middle])
        progress, done = replay.exchanges[number][1]
        check(progress, got.interim[0], upload_offset=re.compile(r"[1-9]\d*"))
        check(done, got)
        number, at = number + 1, middle
    head = replay.other(number, location, upload_offset=at, content_length=len(BODY) - at)
    got = await replay.peer.ask(head + BODY[at:])
    if replay.version == "8":  # the answer of the post, which is 201
        check(replay.exchanges[number][1][0], got, "HTTP/1.1 201 Created")
        got = await replay.peer.ask(replay.other(5, location))
        check(replay.exchanges[5][1][0], got, upload_offset=str(len(BODY)), upload_length=str(len(BODY)))
    else:
        check(replay.exchanges[number][1][0], got, upload_offset=str(len(BODY)))
    location = await replay.peer.broken(replay.fresh().split("/")[3], BODY, AT)
    request, answers = replay.exchanges[-1]
    assert request.line.startswith("DELETE")
    check(answers[0], await replay.peer.ask(replay.other(-1, location)))
    assert (await replay.peer.offset(location)).status == 404


def _problem(example: Message, answer: Answer, line: str = "", **ours: object) -> None:
    check(example, answer, line)
    expected, got = msgspec.json.decode(example.body), msgspec.json.decode(answer.body)
    for name, value in (expected | ours).items():
        assert name == "title" or got[name] == value  # a title is for people (RFC 9457)


async def test_the_examples_of_errors(replay: Replay) -> None:
    """Where a version has none, the answers are those of version 6; a completed upload as the README says."""
    peer, problems = replay.peer, replay.problems or examples("6")[1]
    location = await peer.broken(replay.fresh().split("/")[3], BODY, AT)
    got = await peer.ask(peer.patch(location, 12, 0, whole=False))
    offsets: dict[str, object] = {"expected-offset": AT, "provided-offset": 12}
    _problem(problems["mismatching-upload-offset"], got, **offsets)
    assert got.fields["upload-offset"] == str(AT)
    got = await peer.ask(peer.patch(location, AT, 7) + b"too few")
    _problem(problems.get("inconsistent-upload-length", examples("8")[1]["inconsistent-upload-length"]), got)
    assert (await peer.ask(peer.patch(location, AT, len(BODY) - AT) + BODY[AT:])).status == 201
    got = await peer.ask(peer.patch(location, len(BODY), 0))
    if replay.version == "6":
        _problem(problems["completed-upload"], got)
    else:  # may be so in 8, is not said in 3 and 5: the answer of the post again
        assert (got.status, POST.fullmatch(got.location) is not None) == (201, True)
    assert (await peer.ask(peer.head("HEAD", location, "Upload-Offset: 1"))).status == (
        204 if replay.version == "8" else 400
    )


async def test_the_examples_of_version_8_that_are_refused(replay: Replay) -> None:
    """An error of the server after the 104; a path to which nothing is posted. Other versions have no such examples."""
    if replay.version != "8":
        assert len(replay.exchanges) == 5
        return
    path = replay.fresh()
    replay.node.store.rename(replay.node.store.with_name("away"))
    replay.node.store.write_bytes(b"")  # a store that takes nothing
    head = replay.creation(2, path, content_length=len(BODY), **lengths(replay, 2))
    got = await replay.peer.ask(head + BODY)
    check(replay.exchanges[2][1][0], got.interim[0], location=UPLOAD)
    assert (got.status, got.fields["upload-complete"]) == (503, "?0")  # the bytes wait for an empty PATCH
    head = replay.creation(3, f"/v1/moments/{replay.moment}", content_length=len(BODY), **lengths(replay, 3))
    got = await replay.peer.ask(head + BODY)
    check(replay.exchanges[3][1][0], got)
    assert got.interim == []
