"""Reads the address of a Redis: one server, or a group of Sentinels that know which server is the primary.

- `redis://[user:password@]host:port/db`, and `rediss://…` over TLS;
- `unix:///path?db=0`, with `username` and `password` as parameters;
- `redis+sentinel://[user:password@]host:port,host:port/primary-name/db`, and `rediss+sentinel://…`: the hosts are the
  Sentinels, user and password are those of the data servers, and the parameters `sentinel_username` and
  `sentinel_password` those of the Sentinels.

Over TLS `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` name files, for servers and Sentinels alike, and the
certificate must be for the host in the address, unless `ssl_check_hostname=no`. Other parameters are redis-py's, of its
connections. An address that cannot work is a ValueError whose text has no password.

`lb/redis_address.py` and `storage/redis_address.py` are one text, because the balancer imports no other package.
"""

from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.exceptions import RedisError

FORMS = (
    "redis://host:port/db, rediss://host:port/db, unix:///path?db=0 or redis+sentinel://host:port,host:port/primary/db"
)
SCHEMES = frozenset({"redis", "rediss", "unix"})
GROUPS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
SENTINEL_PORT = 26379


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
        return _group(url, GROUPS[scheme]) if scheme in GROUPS else _server(url)
    except (ValueError, RedisError) as error:
        raise ValueError(f"not the address of a Redis: {error}") from None


def _server(url: str) -> RedisAddress:
    options = _options(url)
    database = options.get("db", 0)
    if "path" in options:
        return RedisAddress(f"{options['path']}?db={database}", options)
    options = {"host": "localhost", "port": 6379} | options
    return RedisAddress(f"{options['host']}:{options['port']}/{database}", options)


def _group(url: str, scheme: str) -> RedisAddress:
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    primary, _, database = parts.path.removeprefix("/").partition("/")
    if not primary or not hosts:
        raise ValueError("it names no Sentinels, or not the primary: redis+sentinel://host:port,host:port/primary/db")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    own = {name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query}
    shared = urlencode(query)
    for_sentinels = urlencode({name: text for name, text in query.items() if name != "db"})
    sentinels = [_options(f"{scheme}://{_host(host)}?{for_sentinels}") | own for host in hosts.split(",")]
    options = _options(f"{scheme}://{login}{at}sentinel/{database}?{shared}")
    del options["host"]
    named = ",".join(sorted(f"{one['host']}:{one['port']}" for one in sentinels))
    name = f"{named}/{quote(unquote(primary), safe='')}/{options.get('db', 0)}"
    return RedisAddress(name, options, unquote(primary), tuple(sentinels))


def _host(text: str) -> str:
    """The host and port of a Sentinel; ValueError."""
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname or parts.path or parts.username:
        raise ValueError(f"{text!r} is not host:port of a Sentinel")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or SENTINEL_PORT}"


def _options(url: str) -> dict[str, Any]:
    """redis-py's options; ValueError where no connection could be made with them."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if not parts.path.startswith("/") or parts.netloc.rpartition("@")[2]:
            raise ValueError("a socket is unix:///path")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError(f"the database is a number, not {parts.path.strip('/')!r}")
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.setdefault("connection_class", Connection)
    if kind is SSLConnection:
        options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs") != "none")
        if "ssl_certfile" in options:
            options.setdefault("ssl_keyfile", options["ssl_certfile"])
    try:
        connection = kind(**{name: value for name, value in options.items() if name != "connection_class"})
    except TypeError as error:
        raise ValueError(f"there is no parameter {str(error).rpartition('argument ')[2]}") from None
    if kind is SSLConnection:
        try:
            connection.ssl_context.get()
        except OSError as error:
            files = ", ".join(f"{name}={options[name]}" for name in sorted(options) if name.endswith(("file", "certs")))
            raise ValueError(f"TLS with {files}: {error}") from None
    return options
