"""The address of a Redis is read alike by the balancer and by all others; a bad one is refused in a sentence."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lb.redis_address
import storage.redis_address

# What redis-py's connections take, of which no text can be made.
FOREIGN = ("retry", "retry_on_error", "credential_provider", "parser_class", "redis_connect_func", "connection_class")
ROOT = Path(__file__).resolve().parents[2]
READERS = pytest.mark.parametrize("read", [storage.redis_address.read, lb.redis_address.read], ids=["storage", "lb"])
Read = Callable[[str], Any]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("storage/redis_address.py", "lb/redis_address.py"),
        ("storage/sentinels.py", "lb/membership/sentinels.py"),
        ("storage/about.py", "lb/about.py"),
    ],
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
        ("redis://h/first", "the database is not a number"),
        ("redis://h:port/0", "a port is not a number from 1 to 65535"),
        ("redis://h:70000/0", "a port is not a number from 1 to 65535"),
        ("redis://h:0/0", "a port is not a number from 1 to 65535"),
        ("redis+sentinel://h:port/p/0", "a port is not a number from 1 to 65535"),
        ("redis://h?db=x", "db has an invalid value"),
        ("redis://h?max_conections=3", "it has a parameter that is not one of client_name, db, "),
        ("redis://h?protocol=4", "protocol has an invalid value"),
        ("redis://[::1/0", "the host is not a name or an address"),
        ("redis://[secret]/0", "the host is not a name or an address"),
        ("unix://run/redis.sock", "a socket is unix:///path"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "ssl_ca_certs names no file"),
        ("rediss://h?ssl_cert_reqs=sometimes", "ssl_cert_reqs has an invalid value"),
        ("redis://h?ssl_cert_reqs=none", "a parameter that is not one of"),
        *((f"redis://h?{name}=1", "a parameter that is not one of") for name in FOREIGN),
        ("redis://h?max_connections=0", "max_connections has an invalid value"),
        ("redis+sentinel://h:1/0", "or not the primary"),
        ("redis+sentinel://h:1", "or not the primary"),
        ("redis+sentinel:///primary/0", "it names no Sentinels"),
        ("redis+sentinel://h:1,:2/primary/0", "a Sentinel is not host:port"),
        ("redis+sentinel://h:1,,/primary/0", "a Sentinel is not host:port"),
        ("redis+sentinel://h:1/primary/first", "the database is not a number"),
        ("redis+sentinel://h:1/primary?nope=1", "a parameter that is not one of"),
    ],
)
def test_a_bad_address_is_refused_in_a_sentence(read: Read, url: str, said: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=said):
        read(url)


@READERS
def test_known_parameters_are_read(read: Read) -> None:
    """In each form that redis-py takes."""
    found = read("redis://h?socket_timeout=0.25&socket_keepalive=yes&max_connections=1&client_name=me&protocol=3")

    wanted = {"socket_timeout": 0.25, "socket_keepalive": True, "max_connections": 1, "client_name": "me"}
    assert {name: found.options[name] for name in wanted} == wanted


# Each has characters that end a part of an address, as base64 and passwords that were made up have.
PASSWORDS = st.builds(
    "{}{}{}".format,
    st.text("abcXYZ019", min_size=4),
    st.sampled_from("/#?@:&=%+,; []"),
    st.text("abcXYZ019/#?@:&=%+,[", min_size=4),
)
PLACES = (
    *("redis://u:{}@h/0", "redis://:{}@h", "rediss://u:{}@h:1/0", "unix://u:{}@/run/s", "redis://{}@h:1/0"),
    *(
        "redis+sentinel://u:{}@h:1,i:2/p/0",
        "redis://h/0?username=u&password={}",
        "redis://u:{}",
        "unix:///s?password={}",
    ),
    *(
        "redis+sentinel://h:1/p/0?sentinel_password={}",
        "redis+sentinel://h:1/p/0?sentinel_username=a&sentinel_password={}&db=1",
    ),
    *("redis://u:{}@h:port/0", "redis://u:{}@h/first", "redis://u:{}@h/0?nope=1", "http://u:{}@h", "redis:/u:{}@h"),
)


@READERS
@pytest.mark.parametrize("place", PLACES)
@given(password=PASSWORDS)
@settings(deadline=None, max_examples=25)
def test_an_error_has_no_password(read: Read, place: str, password: str) -> None:
    """Whatever ends where: it is printed and logged, and so is the name of an address that can be read."""
    parts = {password[at : at + 4] for at in range(len(password) - 3)}
    try:
        read(place.format(quote(password, safe="")))
        text = read(place.format(password)).name
    except ValueError as error:
        text = str(error)
        assert "not the address of a Redis" in text
    usual = f"{read_error(read)} {place}"
    assert not [one for one in parts if one in text and one not in usual]


def read_error(read: Read) -> str:
    """The words of all errors."""
    said = []
    for url in (
        "",
        "redis://h:port",
        "redis://h?nope=1",
        "redis+sentinel://h:1/p?nope=1",
        "rediss://h?nope=1",
        "redis://h/#",
    ):
        with pytest.raises(ValueError, match="not the address") as caught:
            read(url)
        said.append(str(caught.value))
    return " ".join(said)


@READERS
@pytest.mark.parametrize(
    "url",
    [
        *("redis://u:open-sesame#x@h/0", "redis://u:open-sesame?x@h/0", "redis+sentinel://u:open-sesame/x@h:1/p/0"),
        *("redis://u:12/open-sesame@h/0", "redis+sentinel://h:1/p/0?sentinel_password=a&open-sesame=1"),
        *(
            "redis://u:[open-sesame]@h/0",
            "redis://u:open-sesame\u2100@h/0",
            "redis://u:open-sesame@h:1/0?retry=open-sesame",
        ),
    ],
)
def test_a_password_that_is_not_encoded_is_refused_with_the_remedy(read: Read, url: str) -> None:
    """As it comes from `openssl rand -base64`."""
    with pytest.raises(ValueError, match=r"not the address.* / as %2F") as caught:
        read(url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("module", [storage.redis_address, lb.redis_address], ids=["storage", "lb"])
@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"), False),
        (RuntimeError("another"), True),
        (ValueError("the handler is closed"), True),
        (None, True),
    ],
)
def test_a_tls_connection_that_was_closed_early_is_no_fault(
    module: Any, error: Exception | None, *, logged: bool
) -> None:
    """uvloop says so with a traceback for each connection attempt that timed out."""
    info = (type(error), error, None) if error else None
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "Fatal error on SSL protocol", (), info)

    assert module.closed_early(record) is logged
