"""Reads the address of a Redis: one server, or a group of Sentinels that know which server is the primary.

- `redis://[user:password@]host:port/db`, and `rediss://…` over TLS;
- `unix:///path?db=0`, with `username` and `password` as parameters;
- `redis+sentinel://[user:password@]host:port,host:port/primary-name/db`, and `rediss+sentinel://…`: the hosts are the
  Sentinels, user and password are those of the data servers, and the parameters `sentinel_username` and
  `sentinel_password` those of the Sentinels.

`lb/redis_address.py` and `storage/redis_address.py` are one text, because the balancer imports no other package.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.exceptions import RedisError

FORMS = (
    "redis://host:port/db, rediss://host:port/db, unix:///path?db=0 or redis+sentinel://host:port,host:port/primary/db"
)
SCHEMES = frozenset({"redis", "rediss", "unix"})
GROUPS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
SENTINEL_PORT = 26379
ENCODED = "in user, password and parameters write # as %23, & as %26, / as %2F, ? as %3F, @ as %40 and % as %25"
_NUMBER, _TIME, _SWITCH, _TEXT = (
    r"\d{1,9}",
    r"(?=.*[1-9])\d{1,6}(\.\d{1,6})?",
    "(?i)0|1|f|false|t|true|n|no|y|yes",
    ".*",
)
# The form of each parameter, as a regular expression; `FILES` must exist.
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
PARAMETERS = {
    "username": _TEXT,
    "password": _TEXT,
    "client_name": r"[!-~]+",
    "db": _NUMBER,
    "protocol": "2|3",
    "socket_timeout": _TIME,
    "socket_connect_timeout": _TIME,
    "socket_keepalive": _SWITCH,
    "health_check_interval": _NUMBER,
    "max_connections": r"[1-9]\d{0,3}",
}
# For servers and Sentinels alike; the certificate must be for the host in the address, unless `ssl_check_hostname=no`.
TLS_PARAMETERS = {
    "ssl_check_hostname": _SWITCH,
    "ssl_cert_reqs": "none|optional|required",
    **dict.fromkeys(FILES, _TEXT),
}
SENTINEL_PARAMETERS = {"sentinel_username": _TEXT, "sentinel_password": _TEXT}


class RedisAddress(msgspec.Struct, frozen=True):
    """What to connect to. `options` are redis-py's, of a pool; of a group, without host and port.

    `sentinels`: the options of each Sentinel, and `primary` the name that they know the primary by; empty if there are
    none. `name` tells addresses apart and is for logs: without credentials, with the database.
    """

    name: str
    options: dict[str, Any]
    primary: str = ""
    sentinels: tuple[dict[str, Any], ...] = ()


def read(url: str) -> RedisAddress:
    """The parts of the address; ValueError, whose text may be shown."""
    scheme = url.partition("://")[0]
    if "://" not in url or scheme not in SCHEMES | GROUPS.keys():
        raise ValueError(f"not the address of a Redis, which is like {FORMS}")
    try:
        parts = _split(url)
        return _group(parts, GROUPS[scheme]) if scheme in GROUPS else _server(url, parts)
    except _Unfit as error:
        raise ValueError(f"not the address of a Redis: {error}; {ENCODED}") from None


def closed_early(record: logging.LogRecord) -> bool:
    """A filter of the logger `asyncio`: leaves out that a TLS connection was closed while its handshake ran.

    uvloop logs it as a fatal error, with a traceback, after each time-out of a connection attempt.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "the handler is closed" in str(error))


# No part of the address, nor an error of a library, which might quote one: where a special character in a password is
# not percent-encoded, any part of the address may be the password.
class _Unfit(Exception):
    """What is wrong with an address, in words that have no part of it."""


def _split(url: str) -> SplitResult:
    """The parts of the address, if it is clear where each ends."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _Unfit("the host is not a name or an address") from None
    if "#" in url or "@" in parts.path + parts.query:
        raise _Unfit("it has a special character in a place where it ends the user, the password or a parameter")
    return parts


def _server(url: str, parts: SplitResult) -> RedisAddress:
    query = _query(parts, PARAMETERS | (TLS_PARAMETERS if parts.scheme == "rediss" else {}))
    if parts.scheme == "unix":
        if not parts.path.startswith("/") or parts.netloc.rpartition("@")[2]:
            raise _Unfit("a socket is unix:///path")
    else:
        _port(parts, 0)
        _database(parts.path.removeprefix("/"))
    options = _options(url, query)
    database = options.get("db", 0)
    if "path" in options:
        return RedisAddress(f"{options['path']}?db={database}", options)
    options = {"host": "localhost", "port": 6379} | options
    return RedisAddress(f"{options['host']}:{options['port']}/{database}", options)


def _group(parts: SplitResult, scheme: str) -> RedisAddress:
    query = _query(parts, PARAMETERS | SENTINEL_PARAMETERS | (TLS_PARAMETERS if scheme == "rediss" else {}))
    login, at, hosts = parts.netloc.rpartition("@")
    primary, slash, database = parts.path.removeprefix("/").partition("/")
    if not primary or not hosts or (primary.isdecimal() and not slash):
        raise _Unfit("it names no Sentinels, or not the primary: redis+sentinel://host:port,host:port/primary/db")
    _database(database)
    own = {name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query}
    of_the_data = {"db", "username", "password"}
    shared = {name: text for name, text in query.items() if name not in of_the_data}
    for_sentinels = urlencode(shared)
    sentinels = [_options(f"{scheme}://{_host(host)}?{for_sentinels}", shared) | own for host in hosts.split(",")]
    options = _options(f"{scheme}://{login}{at}sentinel/{database}?{urlencode(query)}", query)
    del options["host"]
    named = ",".join(sorted(f"{one['host']}:{one['port']}" for one in sentinels))
    name = f"{named}/{quote(unquote(primary), safe='')}/{options.get('db', 0)}"
    return RedisAddress(name, options, unquote(primary), tuple(sentinels))


def _host(text: str) -> str:
    """The host and port of a Sentinel."""
    try:
        parts = urlsplit(f"//{text.strip()}")
    except ValueError:
        parts = urlsplit("//")
    if not parts.hostname or parts.path or parts.username:
        raise _Unfit("a Sentinel is not host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{_port(parts, SENTINEL_PORT)}"


def _port(parts: SplitResult, default: int) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise _Unfit("a port is not a number from 1 to 65535")
    return port or default


def _database(text: str) -> None:
    if text.strip("/") and not re.fullmatch(_NUMBER, text.strip("/"), re.ASCII):
        raise _Unfit("the database is not a number")


def _query(parts: SplitResult, known: Mapping[str, str]) -> dict[str, str]:
    """The parameters, all of them known and of the right form."""
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not query.keys() <= known.keys():
        raise _Unfit(f"it has a parameter that is not one of {', '.join(sorted(known))}")
    for name, text in query.items():
        if not re.fullmatch(known[name], text, re.ASCII | re.DOTALL) or (name in FILES and not Path(text).is_file()):
            raise _Unfit(f"{name} {'names no file' if name in FILES else 'has an invalid value'}")
    return query


def _options(url: str, query: Mapping[str, str]) -> dict[str, Any]:
    """redis-py's options, with which a connection was made, though not opened."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind = options.setdefault("connection_class", Connection)
        if kind is SSLConnection:
            options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs") != "none")
            if "ssl_certfile" in options:
                options.setdefault("ssl_keyfile", options["ssl_certfile"])
        made = {name: value for name, value in options.items() if name not in {"connection_class", "max_connections"}}
        connection = kind(**made)
        if kind is SSLConnection:
            connection.ssl_context.get()
    except OSError as error:  # of OpenSSL, or of a file that cannot be read
        files = ", ".join(name for name in FILES if name in query) or "the system's authorities"
        raise _Unfit(f"TLS with {files}: {error.strerror or error.args[0]}") from None
    except (ValueError, RedisError):
        raise _Unfit("its parts contradict each other") from None
    return options
