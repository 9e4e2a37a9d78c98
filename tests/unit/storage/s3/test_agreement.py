"""Endpoints agree if none creates again what another one created; what was created is removed."""

import pytest

from storage.s3.agreement import ROUNDS, apart
from storage.s3.endpoint import Endpoint

URLS = ("http://a", "http://b", "http://c")


class Drives:
    """A store whose members each see some drives: they write to these, and find what is on half of all or more."""

    def __init__(self, sees: dict[str, str], *, versioned: bool = False) -> None:
        self.endpoints = [Endpoint(url, None, 1.0) for url in sees]
        self.sees, self.versioned = sees, versioned
        self.on: dict[str, set[str]] = {}
        self.removed: list[tuple[str, str]] = []
        self.created = 0

    async def ask(self, endpoint: Endpoint, method: str, key: str, version: str) -> tuple[str, str]:
        """One request."""
        sees = set(self.sees[endpoint.url])
        if not sees:
            raise ConnectionResetError("it was restarted")
        if method == "DELETE":
            self.removed.append((key, version))
            return "", ""
        there = self.on.setdefault(key, set())
        if 2 * len(there & sees) >= 6:
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

    assert await apart(store.ask, store.endpoints) == ""
    assert store.created == len(store.removed) == ROUNDS * len(URLS)
    assert {key for key, _ in store.removed} == store.on.keys()
    assert all(bool(version) is versioned for _, version in store.removed)


@pytest.mark.parametrize(
    ("sees", "why"),
    [
        (("1234", "123456", "3456"), "does not see what"),  # the first and the last do not see each other
        (("1234", "1234", "56"), "http://c answered SlowDownWrite"),
        (("123456", "123456", ""), "http://c: it was restarted"),
    ],
)
async def test_members_that_lack_drives_do_not(sees: tuple[str, ...], why: str) -> None:
    """The text names who; what was created is removed all the same."""
    store = Drives(dict(zip(URLS, sees, strict=True)))

    assert why in await apart(store.ask, store.endpoints)
    assert {key for key, _ in store.removed} == {key for key, drives in store.on.items() if drives}


async def test_a_write_quorum_of_three_quarters_is_enough() -> None:
    """A member that sees five of six drives finds half of what another one wrote on another five."""
    store = Drives({"http://a": "12345", "http://b": "23456"})

    assert await apart(store.ask, store.endpoints) == ""
