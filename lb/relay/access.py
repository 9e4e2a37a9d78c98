"""The record of one request: an access log line for people, a trace row for `python -m bench record`.

Neither contains a token, a cookie, a query or a user id: the log has the path only, without the segment behind
`/users/` and without what follows a node's hint (`holder_path.py`), the trace a keyed hash of who sent the request
(`key`). Under load the log is sampled evenly, every n-th request, and each line says how many requests it stands for
(`weight`). The trace is never sampled. Pure: times come in, bytes go out.
"""

import hashlib
import re

import msgspec

UPLOADS = frozenset({b"POST", b"PUT", b"PATCH", b""})  # Methods in a trace; empty means a refused head.
TARGET_BYTES_MAX = 200  # No API has longer paths; it keeps the line short.
_USER = re.compile(rb"(?<=/users/)[^/]+", re.IGNORECASE)
_HELD = re.compile(rb"(?<=/[0-9a-f]{16}\.)[^/]+")


class RequestRecord(msgspec.Struct, frozen=True, gc=False):
    """One request at its end; status 0 when the client left, `node` empty when no node was asked."""

    unix_us: int  # when its head was read
    request_id: bytes
    client: bytes
    user: bytes  # or the client's address, where a request names none
    method: bytes
    target: bytes
    length: int  # announced, -1 if it was not
    received: int
    relayed: int
    status: int
    node: str
    seconds: float
    upload_s: float  # from the head to the body's last byte so far
    label: bytes = b""  # the client's own X-Request-Id


def refusal(unix_us: int, request_id: bytes, client: bytes, status: int) -> RequestRecord:
    """The record of a refused head."""
    return RequestRecord(unix_us, request_id, client, client, b"", b"", -1, 0, 0, status, "", 0.0, 0.0)


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An access log line; `id` is the balancer's own, `label` the client's X-Request-Id, which nobody checks."""

    at: float
    id: str
    client: str
    method: str
    path: str
    status: int
    node: str
    ms: float
    bytes_in: int
    bytes_out: int
    weight: int
    label: str = ""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A trace row: unix µs, user hash, path, body length (-1 unknown), bytes received, bytes/s, status."""

    at: int
    u: str
    p: str
    len: int
    got: int
    up: int
    s: int


_encode = msgspec.json.Encoder().encode


def path(target: bytes) -> str:
    """The target without its query, without the user that it names and without what a node keeps secret, shortened."""
    shown = _HELD.sub(b"-", _USER.sub(b"-", target.partition(b"?")[0]))
    return shown[:TARGET_BYTES_MAX].decode("latin-1")


def line(record: RequestRecord, weight: int) -> bytes:
    """The access log line, with its line end."""
    said = Line(
        at=round(record.unix_us / 1e6, 3),
        id=record.request_id.decode("latin-1"),
        client=record.client.decode("latin-1"),
        method=record.method.decode("latin-1"),
        path=path(record.target),
        status=record.status,
        node=record.node,
        ms=round(record.seconds * 1000, 1),
        bytes_in=record.received,
        bytes_out=record.relayed,
        weight=weight,
        label=record.label.decode("latin-1") if record.label != record.request_id else "",
    )
    return _encode(said) + b"\n"


def row(record: RequestRecord, secret: bytes) -> bytes:
    """The trace row, with its line end."""
    made = Row(
        at=record.unix_us,
        u=hashlib.blake2b(record.user, key=secret, digest_size=8).hexdigest(),
        p=path(record.target),
        len=record.length,
        got=record.received,
        up=int(record.received / max(record.upload_s, 0.001)),
        s=record.status,
    )
    return _encode(made) + b"\n"


class Sampler:
    """Chooses the requests that get a line: all of them while they are fewer than `lines_s_max` a second."""

    __slots__ = ("_max", "_second", "_seen", "stride")

    def __init__(self, lines_s_max: int) -> None:
        self._max = lines_s_max
        self._second = self._seen = 0
        self.stride = 1

    def weight(self, now: float) -> int:
        """0 for no line, else the number of requests that the line stands for."""
        if int(now) != self._second:
            # The stride follows the second before.
            self.stride = max(1, -(-self._seen // self._max)) if int(now) == self._second + 1 else 1
            self._second, self._seen = int(now), 0
        self._seen += 1
        # A burst's first second must be sampled too, so the stride also grows within a second.
        if self._seen > 2 * self.stride * self._max:
            self.stride *= 2
        return self.stride if self._seen % self.stride == 0 else 0
