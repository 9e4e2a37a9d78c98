"""The address of a Redis is read alike by the balancer and by all others; a bad one is refused in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lb.redis_address
import storage.redis_address

ROOT = Path(__file__).resolve().parents[2]
READERS = pytest.mark.parametrize("read", [storage.redis_address.read, lb.redis_address.read], ids=["storage", "lb"])
Read = Callable[[str], Any]


@pytest.mark.parametrize(
    ("one", "other"),
    [("storage/redis_address.py", "lb/redis_address.py"), ("storage/sentinels.py", "lb/membership/sentinels.py")],
)
def test_the_balancers_copy_is_the_same_text(one: str, other: str) -> None:
    """It imports no other package; a change goes to both."""
    assert (ROOT / one).read_text() == (ROOT / other).read_text()


@READERS
@pytest.mark.parametrize(
    ("url", "name", "options"),
    [
        ("redis://h", "h:6379/0", {"host": "h", "port": 6379}),
        ("redis://h:1/3", "h:1/3", {"host": "h", "port": 1, "db": 3}),
        ("redis://me:p%40ss@h:1/0", "h:1/0", {"username": "me", "password": "p@ss"}),
        ("redis://:secret@h?db=4&protocol=3", "h:6379/4", {"password": "secret", "protocol": "3"}),
        ("redis://[::1]:7/0", "::1:7/0", {"host": "::1"}),
        ("rediss://h:1/0", "h:1/0", {"ssl_check_hostname": True}),
        ("rediss://h:1/0?ssl_check_hostname=no", "h:1/0", {"ssl_check_hostname": False}),
        ("unix:///run/redis.sock?db=2&username=me&password=x", "/run/redis.sock?db=2", {"path": "/run/redis.sock"}),
    ],
)
def test_a_server_is_read(read: Read, url: str, name: str, options: dict[str, object]) -> None:
    """Its name is for logs: with the database, without credentials; a certificate must be for the host."""
    found = read(url)

    assert (found.name, found.primary, found.sentinels) == (name, "", ())
    assert {key: found.options.get(key) for key in options} == options


@READERS
def test_a_group_of_sentinels_is_read(read: Read) -> None:
    """Each with its own port and the Sentinels' credentials, never those of the data servers, nor the other way."""
    found = read("redis+sentinel://me:p%40@b:7,a,[::1]:8/my%2Fset/3?sentinel_username=watch&sentinel_password=s%25")

    assert (found.name, found.primary) == ("::1:8,a:26379,b:7/my%2Fset/3", "my/set")
    assert [(one["host"], one["port"]) for one in found.sentinels] == [("b", 7), ("a", 26379), ("::1", 8)]
    assert {(one["username"], one["password"]) for one in found.sentinels} == {("watch", "s%")}
    assert (found.options["username"], found.options["password"], found.options["db"]) == ("me", "p@", 3)
    assert not {"host", "port"} & found.options.keys()


@READERS
def test_sentinels_over_tls_and_without_credentials_are_read(read: Read) -> None:
    """The same files for servers and Sentinels; the order of the Sentinels makes no other name; the database is 0."""
    found = read("rediss+sentinel://a:1,b:2/p?ssl_check_hostname=no")

    assert found.name == read("rediss+sentinel://b:2,a:1/p/0").name == "a:1,b:2/p/0"
    assert [one["ssl_check_hostname"] for one in (found.options, *found.sentinels)] == [False] * 3
    assert not any({"username", "password"} & one.keys() for one in (found.options, *found.sentinels))


@READERS
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "which is like redis://host:port/db"),
        ("localhost:6379", "which is like redis://host:port/db"),
        ("http://h", r"or redis\+sentinel://host:port,host:port/primary/db"),
        ("unix+sentinel:///x", "which is like"),
        ("redis://h/first", "the database is a number, not 'first'"),
        ("redis://h:port/0", "Port could not be cast"),
        ("redis://h:70000/0", "Port out of range"),
        ("redis://h?db=x", "Invalid value for 'db'"),
        ("redis://h?max_conections=3", "there is no parameter 'max_conections'"),
        ("redis://h?protocol=4", "protocol must be either 2 or 3"),
        ("redis://[::1/0", "IPv6"),
        ("unix://run/redis.sock", "a socket is unix:///path"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "ssl_ca_certs=/no/such/file: .*No such file"),
        ("rediss://h?ssl_cert_reqs=sometimes", "sometimes"),
        ("redis+sentinel://h:1", "or not the primary"),
        ("redis+sentinel:///primary/0", "it names no Sentinels"),
        ("redis+sentinel://h:1,:2/primary/0", "':2' is not host:port of a Sentinel"),
        ("redis+sentinel://h:1,,/primary/0", "'' is not host:port of a Sentinel"),
        ("redis+sentinel://h:1/primary/first", "the database is a number"),
        ("redis+sentinel://h:1/primary?nope=1", "there is no parameter 'nope'"),
    ],
)
def test_a_bad_address_is_refused_in_a_sentence(read: Read, url: str, said: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=said):
        read(url)


@READERS
@pytest.mark.parametrize("rest", ["h:port/0", "h:1/p/first", "h?nope=1", "h:1,h:x/p/0"])
@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "http"])
def test_an_error_has_no_password(read: Read, scheme: str, rest: str) -> None:
    """It is printed and logged."""
    with pytest.raises(ValueError, match="not the address") as caught:
        read(f"{scheme}://me:open-sesame@{rest}")
    assert "sesame" not in str(caught.value)
