"""What is said of one request: an access log line for people, a trace row for `python -m bench record`.

Neither holds a token, a cookie, a query or a user id: the log has the path alone, the trace a keyed hash of the
placement key. Under load lines are sampled evenly: every n-th request, n following the second before, and each line
says for how many it stands (`weight`). The trace is never sampled. Pure: times come in, bytes go out.
"""

import hashlib

import msgspec

UPLOADS = frozenset({b"POST", b"PUT", b"PATCH", b""})  # What a trace is of; the empty one is a head refused.
TARGET_BYTES_MAX = 200  # A path longer than this is no path of anybody's API; the line stays short.


class RequestRecord(msgspec.Struct, frozen=True, gc=False):
    """One request at its end; status 0 when the client left, node empty when none was asked."""

    unix_us: int  # when its head was read
    request_id: bytes
    client: bytes
    key: bytes
    method: bytes
    target: bytes
    length: int  # announced, -1 if it was not
    received: int
    relayed: int
    status: int
    node: str
    seconds: float
    upload_s: float  # from the head to the body's last byte so far


def refusal(unix_us: int, request_id: bytes, client: bytes, status: int) -> RequestRecord:
    """A head that made no request."""
    return RequestRecord(unix_us, request_id, client, client, b"", b"", -1, 0, 0, status, "", 0.0, 0.0)


class Line(msgspec.Struct, frozen=True, gc=False):
    """An access log line."""

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


class Row(msgspec.Struct, frozen=True, gc=False):
    """A trace row, generic: unix µs, user hash, path, body length (-1 unknown), bytes come, bytes/s, status."""

    at: int
    u: str
    p: str
    len: int
    got: int
    up: int
    s: int


_encode = msgspec.json.Encoder().encode


def path(target: bytes) -> str:
    """The target without its query, short."""
    return target.partition(b"?")[0][:TARGET_BYTES_MAX].decode("latin-1")


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
    )
    return _encode(said) + b"\n"


def row(record: RequestRecord, secret: bytes) -> bytes:
    """The trace row, with its line end."""
    made = Row(
        at=record.unix_us,
        u=hashlib.blake2b(record.key, key=secret, digest_size=8).hexdigest(),
        p=path(record.target),
        len=record.length,
        got=record.received,
        up=int(record.received / max(record.upload_s, 0.001)),
        s=record.status,
    )
    return _encode(made) + b"\n"


class Sampler:
    """Which requests get a line: all, while they are fewer than `lines_s_max` a second."""

    __slots__ = ("_max", "_second", "_seen", "stride")

    def __init__(self, lines_s_max: int) -> None:
        self._max = lines_s_max
        self._second = self._seen = 0
        self.stride = 1

    def weight(self, now: float) -> int:
        """0 for no line, else for how many requests the line stands."""
        if int(now) != self._second:
            # The burst's first second must not pass unsampled: the stride also grows within a second, see below.
            self.stride = max(1, -(-self._seen // self._max)) if int(now) == self._second + 1 else 1
            self._second, self._seen = int(now), 0
        self._seen += 1
        if self._seen > 2 * self.stride * self._max:
            self.stride *= 2
        return self.stride if self._seen % self.stride == 0 else 0
