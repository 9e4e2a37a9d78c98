"""No head costs the node much more than a plain one, and what is read of it is true or refused.

Cost is CPU time of this process, client and node in one, as a ratio to the same work on a plain head; the least of some
rounds counts, because whatever disturbs a measurement only adds to it.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from email.message import Message
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import Redis

from ingest.auth import TOKEN_CHARS_MAX, Authenticator
from ingest.body.buffers import Buffer
from ingest.body.multipart import (
    DISPOSITIONS_MAX,
    FIELD_CHARS_MAX,
    PARAMETERS_MAX,
    BadMultipart,
    MultipartReader,
    _name_in,
    boundary_of,
)
from ingest.errors import Refusal
from ingest.posts import _matches

from .conftest import SECRET, token
from .test_posts import finish

TIMES_MAX = 20
LONG = 15_000
# Whatever parsers have been slow with.
FAMILIES = {
    "semicolons": ";",
    "equals": "=",
    "quotes": '"',
    "backslashes": "\\",
    "escaped quotes": '\\"',
    "percents": "%",
    "encoded": "%41",
    "half encoded": "%4",
    "encoded slashes": "%2f",
    "comments": "(",
    "commas": ",",
    "tabs": "\t",
    "dots": ".",
    "digits": "9",
    "slashes": "/",
    "parents": "../",
    "ampersands": "&",
    "pairs": "a=1&",
    "parameters": "a=1;",
    "quoted parameters": 'a="b";',
    "open quotes": '"; ',
    "extended": "x*=utf-8''%41;",
    "continued": "x*0=a; ",
    "tags": '"x",',
    "plus": "+",
    "brackets": "[",
    "braces": '{"a":',
}
FIELDS = (
    *("Content-Type", "Authorization", "Range", "If-None-Match", "If-Range", "Cookie", "Accept", "Accept-Encoding"),
    *("Expect", "X-Request-Id", "X-Forwarded-For", "Forwarded", "traceparent", "Connection", "Upgrade", "Referer"),
    *("Snapsurge-Received-At", "Snapsurge-Retry", "User-Agent", "If-Modified-Since", "Content-Disposition"),
)


def many(unit: str, length: int = LONG) -> str:
    """So many characters of it."""
    return (unit * (length // len(unit) + 1))[:length]


def cost(work: Callable[[], object], rounds: int = 5, times: int = 20) -> float:
    """CPU seconds of one call."""

    def once() -> float:
        begun = time.process_time()
        for _ in range(times):
            try:
                work()
            except (BadMultipart, Refusal):
                continue
        return time.process_time() - begun

    return min(once() for _ in range(rounds)) / times


async def served(port: int, head: bytes, rounds: int = 3, times: int = 8) -> float:
    """CPU seconds of a request with this head and its answer, each on a connection of its own."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            writer.write_eof()
            try:
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
            writer.close()
        best = min(best, time.process_time() - begun)
    return best / times


def head(method: str, target: str, **fields: str) -> bytes:
    """A head whose fields are those, a good token among them unless there is another."""
    lines = {"Host": "x", "Authorization": f"Bearer {token('alice')}", "Connection": "close"} | fields
    return (f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


@pytest.mark.parametrize("family", FAMILIES)
async def test_no_field_and_no_target_of_a_request_is_dear(client: Any, redis: Redis, family: str) -> None:
    """15,000 characters of it in each field that anybody reads, of an upload and of a picture, and in the target."""
    moment = await client.moment()
    path = (await client.upload(moment)).headers["Location"]
    await finish(client, redis, path)
    upload, picture = f"/v1/moments/{moment}/posts", f"{path}/photos/front/thumb"
    plain = await served(client.port, head("GET", picture), rounds=6)
    text = many(FAMILIES[family])
    found: dict[str, float] = {}

    async def least(hostile: bytes) -> float:
        """Of one round; what looks dear is measured again, because others use this machine too."""
        seconds = await served(client.port, hostile, rounds=1)
        return seconds if seconds <= TIMES_MAX * plain / 2 else await served(client.port, hostile, rounds=6)

    for field in FIELDS:
        value = {"Content-Type": f'multipart/form-data; x="{text}', "Authorization": f"Bearer {text}"}.get(field, text)
        method, target = ("POST", upload) if field in {"Content-Type", "Expect"} else ("GET", picture)
        length = {"Content-Length": "10"} if method == "POST" else {}
        found[field] = await least(head(method, target, **{field: value}, **length))
    for target in (f"/v1/posts/{text}", f"/{text}", f"/docs/{text}", f"/v1/moments/current?region={text}", f"/?{text}"):
        safe = target.replace('"', "%22").replace("\t", "%09")[:LONG]
        found[target[:12]] = await least(head("GET", safe))
        found[target[:12] + " 2 KB"] = await least(head("GET", safe[:2000]))

    assert {name: round(seconds / plain, 1) for name, seconds in found.items() if seconds > TIMES_MAX * plain} == {}


async def test_very_many_fields_are_not_dear(client: Any) -> None:
    """As many as fit, each of another name or all of the same."""
    plain = await served(client.port, head("GET", "/livez"), rounds=6)
    names = {f"x{number}": "" for number in range(1700)}
    for hostile in (head("GET", "/livez", **names), head("GET", "/livez")[:-2] + b"a:\r\n" * 3000 + b"\r\n"):
        assert await served(client.port, hostile) <= TIMES_MAX * plain
    few = {f"x{number}": "" for number in range(100)}
    assert await served(client.port, head("GET", "/livez", **few)) <= TIMES_MAX * plain


@pytest.mark.parametrize("family", FAMILIES)
def test_no_head_of_a_part_is_dear(family: str) -> None:
    """4,000 bytes of it, before the name and after, open and closed, and line after line."""

    def read(disposition: str) -> None:
        _name_in.cache_clear()
        body = f"--x\r\n{disposition}\r\n\r\n".encode()
        MultipartReader(b"x", {"front": 10}, Buffer(len(body))).feed(body)

    plain = cost(lambda: read('Content-Disposition: form-data; name="front"; filename="front.jpg"'))
    text = many(FAMILIES[family], 3900)
    lines = f"Content-Disposition: a; {FAMILIES[family] * 3}\r\n"
    for hostile in (
        f'Content-Disposition: form-data; x="{text}',
        f"Content-Disposition: form-data; {text}; name=front",
        f"Content-Disposition: form-data; name=front; {text}",
        f"{text}: form-data",
        (lines * 200)[:3900],
        "a:\r\n" * 970,
    ):
        assert cost(lambda hostile=hostile: read(hostile)) <= TIMES_MAX * plain  # type: ignore[misc]


@pytest.mark.parametrize(
    "said",
    [
        '{"alg":"HS256","x":' + "[" * 11_000,
        '{"alg":"HS256","x":' + '{"a":' * 2200,
        '{"alg":"HS256","x":' + "1" * 11_000 + "}",
        '{"alg":"HS256","x":[' + "1" * 4299 + "," + "1" * 4299 + "]}",
        '{"alg":"HS256","x":1e' + "9" * 11_000 + "}",
        '{"alg":"HS256","x":"' + "\\u0041" * 1800 + '"}',
        '{"alg":"HS256",' + ",".join(f'"a{number}":1' for number in range(1100)) + "}",
    ],
)
def test_no_head_of_a_token_is_dear(said: str) -> None:
    """Deep, long, large or many: as much of it as a token may have, and more."""
    good = f"Bearer {token('alice')}"
    asked = Authenticator(SECRET, SECRET[::-1])
    plain = cost(lambda: asked.principal(good))
    for length in (TOKEN_CHARS_MAX - 20, LONG):
        encoded = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")[:length]
        bad = f"Bearer {encoded}.e30.AAAA"
        assert cost(lambda bad=bad: asked.principal(bad)) <= TIMES_MAX * plain  # type: ignore[misc]


def test_a_token_may_be_so_long_and_no_longer() -> None:
    """Exactly the limit is taken."""
    rest = TOKEN_CHARS_MAX - len(token("alice", p=""))
    longest = next(
        one
        for size in range(rest * 3 // 4 - 4, rest)
        if len(one := token("alice", p="x" * size)) >= TOKEN_CHARS_MAX - 1
    )
    longer = token("alice", p="x" * rest)

    assert len(longest) <= TOKEN_CHARS_MAX < len(longer)
    assert Authenticator(SECRET).principal(f"Bearer {longest}").user_id == "alice"
    with pytest.raises(Refusal, match="characters"):
        Authenticator(SECRET).principal(f"Bearer {longer}")


@pytest.mark.parametrize("claims", [{"exp": 1e400}, {"nbf": 1e400}, {"exp": "9" * 4400}, {"nbf": -1e400}])
def test_a_signed_token_with_a_time_that_is_none_is_refused(claims: dict[str, Any]) -> None:
    """Whatever its number cannot be turned into."""
    with pytest.raises(Refusal, match="unauthenticated"):
        Authenticator(SECRET).principal(f"Bearer {token('alice', **claims)}")


def by_the_library(content_type: str) -> str | None:
    """The boundary as email's parser finds it, which decided alone before; None when there is none to use."""
    message = Message()
    message["Content-Type"] = content_type
    found = message.get_param("boundary")
    usable = message.get_content_type() == "multipart/form-data" and isinstance(found, str) and found.isascii()
    return found if usable and isinstance(found, str) and 0 < len(found) <= 70 else None


PIECES = st.lists(
    st.sampled_from(
        ["multipart/form-data", "boundary", "=", ";", '"', "\\", " ", "x", "%41", "*", "''", "utf-8", "*0", "\t"]
    ),
    max_size=40,
).map("".join)


@given(PIECES)
@example('boundary="x";' * 16)
@example("boundary=x" + ";" * 17)
def test_a_boundary_is_the_librarys_or_refused(rest: str) -> None:
    """Within the limits nothing changed; beyond them it is refused."""
    said = f"multipart/form-data; {rest}"
    try:
        found: str | None = boundary_of(said).decode()
    except BadMultipart:
        found = None
    if len(said) <= FIELD_CHARS_MAX and said.count(";") <= PARAMETERS_MAX:
        assert found == by_the_library(said)
    else:
        assert found is None


def test_parameters_and_characters_of_a_field_are_bounded_from_both_sides() -> None:
    """The last that is taken, and one more."""
    fits = "multipart/form-data" + "; a=b" * (PARAMETERS_MAX - 1)
    assert boundary_of(f"{fits}; boundary=x") == b"x"
    with pytest.raises(BadMultipart, match="16 parameters"):
        boundary_of(f"{fits}; boundary=x;")
    padded = f'multipart/form-data; boundary=x; a="{"y" * FIELD_CHARS_MAX}'
    assert boundary_of(padded[: FIELD_CHARS_MAX - 1] + '"') == b"x"
    with pytest.raises(BadMultipart, match="1024 characters"):
        boundary_of(padded[:FIELD_CHARS_MAX] + '"')


def test_so_many_lines_of_a_part_may_say_what_it_is() -> None:
    """The last of them still counts, as it did; one more is not read."""
    other, right = b"Content-Disposition: attachment\r\n", b"Content-Disposition: form-data; name=front"
    assert _name_in(other * (DISPOSITIONS_MAX - 1) + right) == "front"
    with pytest.raises(BadMultipart, match="no Content-Disposition"):
        _name_in(other * DISPOSITIONS_MAX + right)


@given(st.lists(st.sampled_from(['"x"', 'W/"x"', '"y"', "*", "", " ", "W/", '"']), max_size=8).map(",".join))
def test_a_condition_matches_where_one_of_its_tags_does(condition: str) -> None:
    """RFC 9110, 13.1.2: weakly, or by the star."""
    tags = [tag.strip() for tag in condition.split(",")]
    assert _matches(condition, '"x"') is any(tag in {'"x"', 'W/"x"', "*", "W/*"} for tag in tags)
