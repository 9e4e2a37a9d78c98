"""Endpoints agree if none creates again what another one created; what was created is removed."""

import pytest

from storage.s3.agreement import ROUNDS, Finding, apart
from storage.s3.credentials import NoKeys
from storage.s3.endpoint import Endpoint

URLS = ("http://a", "http://b", "http://c")


class Drives:
    """A store whose members each see some drives: they write to these, and find what is on half of all or more."""

    def __init__(self, sees: dict[str, str], *, versioned: bool = False) -> None:
        self.endpoints = [Endpoint(url, None, 1.0) for url in sees]
        self.sees, self.versioned = sees, versioned
        self.ignores: dict[str, str] = {}  # what an endpoint does although it must refuse it
        self.on: dict[str, set[str]] = {}
        self.removed: list[tuple[str, str]] = []
        self.removed_at: set[tuple[str, str]] = set()
        self.created = 0

    async def ask(self, endpoint: Endpoint, what: str, key: str, version: str) -> tuple[str, str]:
        """One request."""
        sees = set(self.sees[endpoint.url])
        if not sees:
            raise ConnectionResetError("it was restarted")
        if what == "remove":
            self.removed.append((key, version))
            self.removed_at.add((endpoint.url, key))
            return "", ""
        there = self.on.setdefault(key, set())
        if (what == "swap" or 2 * len(there & sees) >= 6) and self.ignores.get(endpoint.url) != what:
            return "PreconditionFailed", ""
        if len(sees) < 4:
            return "SlowDownWrite", ""
        there |= sees
        self.created += 1
        return "", f"v{self.created}" if self.versioned else ""


@pytest.mark.parametrize("versioned", [False, True])
async def test_members_that_see_all_drives_agree(*, versioned: bool) -> None:
    """Each creates once in each round, and nothing stays, not even a marker in a bucket that keeps versions."""
    store = Drives(dict.fromkeys(URLS, "123456"), versioned=versioned)

    assert await apart(store.ask, store.endpoints) == Finding()
    assert store.created == len(store.removed) == ROUNDS * len(URLS)
    assert {key for key, _ in store.removed} == store.on.keys()
    assert all(bool(version) is versioned for _, version in store.removed)


@pytest.mark.parametrize(
    ("sees", "why", "overwrote"),
    [
        # The first and the last do not see each other.
        (("1234", "123456", "3456"), "had just created: either members do not see each other's drives yet", True),
        (("1234", "1234", "56"), "http://c answered SlowDownWrite", False),
        (("123456", "123456", ""), "http://c: it was restarted", False),
    ],
)
async def test_members_that_lack_drives_do_not(sees: tuple[str, ...], why: str, *, overwrote: bool) -> None:
    """The text names who and the possible causes; what was created is removed all the same."""
    store = Drives(dict(zip(URLS, sees, strict=True)))

    found = await apart(store.ask, store.endpoints)
    assert why in found.why
    assert (found.overwrote, found.broken) == (overwrote, None)
    assert {key for key, _ in store.removed} == {key for key, drives in store.on.items() if drives}


async def test_a_write_quorum_of_three_quarters_is_enough() -> None:
    """A member that sees five of six drives finds half of what another one wrote on another five."""
    store = Drives({"http://a": "12345", "http://b": "23456"})

    assert await apart(store.ask, store.endpoints) == Finding()


@pytest.mark.parametrize(("ignores", "field"), [("create", "If-None-Match"), ("swap", "If-Match")])
@pytest.mark.parametrize("count", [1, 3])
async def test_one_that_ignores_conditions_is_named(ignores: str, field: str, count: int) -> None:
    """Beside others, and alone; the others are not to blame."""
    store = Drives(dict.fromkeys(URLS[:count], "123456"))
    store.ignores["http://a"] = ignores

    found = await apart(store.ask, store.endpoints)
    assert found.why == f"http://a overwrote what it had just created: it ignores {field}"
    assert (found.overwrote, found.broken) == (True, store.endpoints[0])
    assert {key for key, _ in store.removed} == set(store.on)


async def test_two_stores_do_not_agree() -> None:
    """Each keeps conditions, but neither has what the other one created; nothing stays in either."""
    store = Drives({"http://a": "123456", "http://b": "uvwxyz"})

    found = await apart(store.ask, store.endpoints)
    assert "or it is of another store" in found.why
    assert (found.overwrote, found.broken) == (True, None)
    assert store.removed_at == {(url, key) for url in store.sees for key in store.on}


async def test_a_test_whose_requests_fail_raises_nothing() -> None:
    """Not even if what was created cannot be removed: the endpoints do not agree yet."""
    store = Drives(dict.fromkeys(URLS, "123456"))

    async def ask(endpoint: Endpoint, what: str, key: str, version: str) -> tuple[str, str]:
        if what != "create":
            raise NoKeys("no role")
        return await store.ask(endpoint, what, key, version)

    assert (await apart(ask, store.endpoints)).why.endswith(": no role")
