"""Clients that others wrote, or that were written from the guide alone, resume after a break: `pytest -m long`.

Through a balancer to a node, and a proxy before them that breaks connections.
"""

import hashlib
from pathlib import Path

import pytest

from tests.e2e.lone_node import pair

from .breaking import breaker
from .conftest import Service, built, lines_of, started, token, tool
from .test_recipes import STACKS

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(1800)]

TUS = "4.3.1"
PROTOCOLS = ("ietf-draft-03", "ietf-draft-05")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A pair of 1.2 MB."""
    return pair_of(1_200_000, tmp_path)


def pair_of(size: int, folder: Path) -> list[Path]:
    """The files of a pair of so many bytes."""
    paths = [folder / f"{side}.jpg" for side in ("front", "back")]
    for path in paths:
        path.write_bytes(pair(size).split(b"\r\n\r\n", 1)[1].split(b"\r\n--x\r\n", 1)[0])
    return paths


@pytest.fixture
def tus(tmp_path: Path) -> list[str]:
    """The command of the program that uses tus-js-client."""
    (tmp_path / "tus.mjs").write_text((Path(__file__).parent / "drivers" / "tus.mjs").read_text())
    packages = (f"tus-js-client@{TUS}",)
    built("npm", "install", "--silent", "--no-save", *packages, folder=tmp_path, why="npm cannot fetch tus-js-client")
    return [tool("node"), str(tmp_path / "tus.mjs")]


def is_whole(service: Service, post: str, photos: list[Path]) -> bool:
    """Whether the post has the photos that were sent."""
    stored = service.stored(post)["photos"]
    return all(stored[path.stem]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() for path in photos)


def test_the_recipe_resumes_twice(service: Service, tmp_path: Path, photos: list[Path]) -> None:
    """Version 8: POST and PATCH are broken, the second PATCH brings the rest and the post's answer."""
    _, command, environment = STACKS["resume"](tmp_path, service.certificate)
    moment = service.stack.moment()
    with breaker(service.stack.front, 500_000, 300_000) as proxy:
        words = [proxy.base, moment, token("resume-broken"), *map(str, photos)]
        done, (first, state, *_) = lines_of(started([*command, *words], environment))
    assert (done, first.split()[0], state) == (0, "201", "ready")
    assert (proxy.requests, proxy.unused) == (["POST", "HEAD", "PATCH", "HEAD", "PATCH"], 0)
    assert is_whole(service, first.split()[1], photos)


def test_the_recipe_gets_an_answer_that_was_lost(service: Service, tmp_path: Path, photos: list[Path]) -> None:
    """Nothing is left to send: an empty PATCH has the answer of the post."""
    _, command, environment = STACKS["resume"](tmp_path, service.certificate)
    moment = service.stack.moment()
    with breaker(service.stack.front, loses_answer=True) as proxy:
        words = [proxy.base, moment, token("resume-lost"), *map(str, photos)]
        done, (first, state, *_) = lines_of(started([*command, *words], environment))
    assert (done, first.split()[0], state) == (0, "201", "ready")
    assert (proxy.requests, proxy.unused) == (["POST", "HEAD", "PATCH"], 0)
    assert is_whole(service, first.split()[1], photos)


def test_the_recipe_ends_with_a_refusal(service: Service, tmp_path: Path, photos: list[Path]) -> None:
    """The user has another pair of this moment: that is final, also for an upload that was resumed."""
    _, command, environment = STACKS["resume"](tmp_path, service.certificate)
    moment, bearer, other = service.stack.moment(), token("resume-refused"), tmp_path / "other"
    other.mkdir()
    with breaker(service.stack.front, 500_000) as proxy:
        base = f"http://127.0.0.1:{service.stack.front}"
        words = [base, moment, bearer, *map(str, pair_of(900_000, other))]
        assert lines_of(started([*command, *words], environment))[0] == 0
        words = [proxy.base, moment, bearer, *map(str, photos)]
        found = lines_of(started([*command, *words], environment))
    assert found == (1, ["409 already-posted", ""])
    assert (proxy.requests, proxy.unused) == (["POST", "HEAD", "PATCH"], 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_resumes(service: Service, tus: list[str], photos: list[Path], protocol: str) -> None:
    """Its empty creation, a PATCH that breaks, HEAD, and the rest; the last answer is that of the post."""
    moment = service.stack.moment()
    with breaker(service.stack.front, 500_000) as proxy:
        words = [proxy.base, moment, token(f"tus-{protocol}"), *map(str, photos), protocol]
        done, lines = lines_of(started([*tus, *words], {}))
    post = lines[3].split()[-1]
    assert (done, lines) == (0, ["POST 201", "HEAD 204", "PATCH 201", f"201 {post}", ""])
    assert (proxy.requests, proxy.unused) == (["POST", "PATCH", "HEAD", "PATCH"], 0)
    assert is_whole(service, post, photos)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_ends_well_when_the_answer_was_lost(
    service: Service, tus: list[str], photos: list[Path], protocol: str
) -> None:
    """-05: HEAD tells it that all has arrived, and it asks no more. -03: an empty PATCH has the answer again."""
    moment = service.stack.moment()
    with breaker(service.stack.front, loses_answer=True) as proxy:
        words = [proxy.base, moment, token(f"tus-lost-{protocol}"), *map(str, photos), protocol]
        done, lines = lines_of(started([*tus, *words], {}))
    assert (done, proxy.unused) == (0, 0)
    if protocol == "ietf-draft-05":
        assert lines == ["POST 201", "HEAD 204", "204 no post in this answer", ""]
    else:
        post = lines[3].split()[-1]
        assert lines == ["POST 201", "HEAD 204", "PATCH 201", f"201 {post}", ""]
        assert is_whole(service, post, photos)
