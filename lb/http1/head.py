"""Parses request and response heads by the strict rules of RFC 9112: bytes in, a frozen value or a typed error out.

Request smuggling needs two parsers that read one request differently. So there is one reading, and it refuses
everything ambiguous: obs-fold, a bare CR, LF or NUL, a space before a colon, two framings, a Content-Length that is not
digits only, a Transfer-Encoding other than `chunked` or in HTTP/1.0, a missing, repeated or invalid Host.

Almost every head is ordinary: `ordinary.py` proves so with one regular expression, and the checked bytes themselves are
passed on. Every other head is parsed here, line by line. Nothing here looks at a body, a clock or a node.
"""

import re

import msgspec

from .errors import RequestError, ResponseError
from .ordinary import requests, responses

FIELDS_MAX = 100  # A phone sends about 12; each costs time to check.
OPTIONS_MAX = 32  # Options of the Connection field; each names a field to remove.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_FIELDS = re.compile(rb"(?:%b++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+" % _TOKEN)
_REQUEST_LINE = re.compile(rb"(%b{1,32}+) ([!-~]++) HTTP/([0-9])\.([0-9])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_ABSOLUTE = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?)://([^/?#@]++)([/?][^#]*+)?+")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]{1,255}+|\[[0-9A-Fa-f:.]{2,45}+\])(?::[0-9]{1,5}+)?+")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_REQUEST_ID = re.compile(rb"%b{1,128}" % _TOKEN)
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host"})
_HOP_BY_HOP = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer", b"upgrade"})
_READ = frozenset({b"authorization", b"connection", b"expect", b"forwarded", b"x-request-id", *_FRAMING, *_HOP_BY_HOP})
_CAUSE = b"snapsurge-cause"
_ENDED = frozenset({b"connection", b"content-length", b"transfer-encoding", b"x-request-id", _CAUSE, *_HOP_BY_HOP})
# Only a balancer may send these: they are never passed on as they are. A trace restarts at the edge (W3C Trace
# Context): a stranger's `sampled` would make the collector's load his choice.
_OURS = (b"snapsurge-", b"x-forwarded-", b"traceparent", b"tracestate")
_ORDINARY_REQUEST = requests(names=_READ, prefixes=_OURS, fields_max=FIELDS_MAX)
_ORDINARY_RESPONSE = responses(names=_ENDED)


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A valid request head; `length` is None without Content-Length, `request_id` empty unless it is a valid token.

    `ordinary` is empty, or the request line and all fields, to be forwarded unchanged; then `fields` is empty.
    `fields` are the end-to-end lines as received. `balancer_fields` are the lines that only a balancer may send; they
    count when a trusted peer sent them (`origin.py`).
    """

    method: bytes
    target: bytes
    minor: int
    host: bytes
    fields: list[bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool
    authorization: bytes
    request_id: bytes
    ordinary: bytes = b""
    balancer_fields: list[bytes] = msgspec.field(default_factory=list)


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """A valid answer head of a node; `length` None and not `chunked` means that the body ends with the connection.

    `ordinary` is empty, or the status line and all fields, to be forwarded unchanged; then `fields` is empty.
    `cause` names the cause of a 503 that is not overload (`Snapsurge-Cause`, removed here: it is for the balancer).
    """

    status: int
    reason: bytes
    fields: list[bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    has_request_id: bool
    ordinary: bytes = b""
    cause: bytes = b""

    def bears(self, name: bytes) -> bool:
        """Whether there is a field of this lower-case name. It reads line by line: for rare answers only."""
        lines = self.ordinary.split(b"\r\n")[1:] if self.ordinary else self.fields
        return any(line.lower().startswith(name + b":") for line in lines)


def find_request(data: bytes, bytes_max: int, seen: int = 0) -> tuple[RequestHead, int] | None:
    """The first request head in `data` and its end, None while it is incomplete; raises RequestError.

    An incomplete head that cannot become valid is refused without waiting for its end.
    """
    # The first `seen` bytes were searched before: a head that comes byte by byte is not searched from its start again.
    end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
    if (end if end >= 0 else len(data)) > bytes_max:
        raise RequestError("head-too-large", f"The head is longer than {bytes_max} bytes.")
    if end < 0:
        if data.count(b"\n", seen) != data.count(b"\r\n", max(0, seen - 1)):
            raise RequestError("bad-request", "A line ends with a bare LF.")
        return None
    ordinary = _ORDINARY_REQUEST(data, 0, end + 2)
    return (parse_request(data[: end + 2]) if ordinary is None else _ordinary(ordinary, data[: end + 2])), end + 4


def _ordinary(found: re.Match[bytes], lines: bytes) -> RequestHead:
    """The value of a head proven ordinary; the groups have the order of `ordinary.requests`."""
    method, target, host, length, authorization, connection, coding = found.groups()
    chunked = coding is not None
    if connection is not None:
        start, stop = found.span(6)
        lines = lines[:start] + lines[stop:]
    size = None if length is None else int(length)
    # By position, which takes half the time: minor, fields, keep_alive and expects_continue are known.
    return RequestHead(
        method, target, 1, host, [], size, chunked, True, False, authorization or b"", b"", ordinary=lines
    )


def parse_request(head: bytes) -> RequestHead:
    """Parse a request head, given without its last empty line; raises RequestError."""
    line, _, block = head.removeprefix(b"\r\n").partition(b"\r\n")
    start = _REQUEST_LINE.fullmatch(line)
    if start is None:
        raise RequestError("bad-request", "The request line is malformed.")
    method, target, major, minor_digit = start.groups()
    if major != b"1" or minor_digit not in b"01":
        raise RequestError("version-not-supported", "")
    if _FIELDS.fullmatch(block) is None:
        raise RequestError("bad-request", "A header field is malformed.")
    if block.count(b"\r\n") > FIELDS_MAX:
        raise RequestError("head-too-large", f"There are more than {FIELDS_MAX} header fields.")
    minor = int(minor_digit)
    fields, read, balancer_fields = _sort_fields(block)
    options = _options(read, RequestError("bad-request", f"Connection has more than {OPTIONS_MAX} options."))
    target, host = _aim(method, target, _one_host(read, minor), minor)
    length, chunked = _request_framing(read, minor)
    expect = read.get(b"expect")
    if expect is not None and [value.lower() for value in expect] != [b"100-continue"]:
        raise RequestError("expectation-failed", "")
    request_id = read.get(b"x-request-id", [b""])
    return RequestHead(
        method=method,
        target=target,
        minor=minor,
        host=host,
        fields=_without(fields, options),
        length=length,
        chunked=chunked,
        keep_alive=b"close" not in options and (minor == 1 or b"keep-alive" in options),
        expects_continue=expect is not None and minor == 1,
        authorization=b"".join(read[b"authorization"]) if b"authorization" in read else b"",
        request_id=request_id[0] if len(request_id) == 1 and _REQUEST_ID.fullmatch(request_id[0]) else b"",
        balancer_fields=_without(balancer_fields, options),
    )


def parse_response(head: bytes) -> ResponseHead:
    """Parse a node's answer head, given without its last empty line; raises ResponseError."""
    if found := _ORDINARY_RESPONSE(head):
        status, reason, length, request_id = found.groups()
        return ResponseHead(int(status), reason or b"", [], int(length), False, True, request_id is not None, head)
    line, _, block = head.partition(b"\r\n")
    start = _STATUS_LINE.fullmatch(line)
    if start is None or _FIELDS.fullmatch(block) is None:
        raise ResponseError("malformed response head")
    fields: list[bytes] = []
    read: dict[bytes, list[bytes]] = {}
    for field in block.split(b"\r\n")[:-1]:
        name, _, value = field.partition(b":")
        name = name.lower()
        if name in _ENDED:
            read.setdefault(name, []).append(value.strip(b" \t"))
            if name != b"x-request-id":
                continue
        fields.append(field)
    lengths, codings = read.get(b"content-length", []), read.get(b"transfer-encoding", [])
    if (lengths and codings) or len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise ResponseError("ambiguous response framing")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked" or start[1] == b"0"):
        raise ResponseError("unknown transfer coding")
    options = _options(read, ResponseError("too many connection options"))
    return ResponseHead(
        status=int(start[2]),
        reason=start[3] or b"",
        fields=_without(fields, options),
        length=int(lengths[0]) if lengths else None,
        chunked=bool(codings),
        keep_alive=b"close" not in options and (start[1] == b"1" or b"keep-alive" in options),
        has_request_id=b"x-request-id" in read,
        cause=b" ".join(read.get(_CAUSE, ())),
    )


def _sort_fields(block: bytes) -> tuple[list[bytes], dict[bytes, list[bytes]], list[bytes]]:
    """The end-to-end lines, the values of the fields that the balancer reads or removes, and the balancer fields."""
    fields: list[bytes] = []
    balancer_fields: list[bytes] = []
    read: dict[bytes, list[bytes]] = {}
    for field in block.split(b"\r\n")[:-1]:
        name, _, value = field.partition(b":")
        name = name.lower()
        if name in _READ:
            read.setdefault(name, []).append(value.strip(b" \t"))
            if name != b"authorization":
                continue
        elif name.startswith(_OURS):
            balancer_fields.append(field)
            continue
        elif b"_" in name:
            # Some servers read `_` as `-`: a second spelling of a field that decides something must not reach them.
            dashed = name.replace(b"_", b"-")
            if dashed in _FRAMING:
                raise RequestError("bad-request", "A framing field is spelt with an underscore.")
            if dashed in _READ or dashed.startswith(_OURS):
                continue
        fields.append(field)
    return fields, read, balancer_fields


def _options(read: dict[bytes, list[bytes]], too_many: Exception) -> set[bytes]:
    """The options of all Connection fields, in lower case."""
    values = read.get(b"connection")
    if not values:
        return set()
    options = b",".join(values).split(b",", OPTIONS_MAX)
    if len(options) > OPTIONS_MAX:
        raise too_many
    return {option.strip(b" \t").lower() for option in options}


def _without(fields: list[bytes], options: set[bytes]) -> list[bytes]:
    """The lines without those that a Connection option names (RFC 9110 section 7.6.1)."""
    if options <= {b"close", b"keep-alive", b""}:
        return fields
    return [field for field in fields if field.partition(b":")[0].lower() not in options]


def _one_host(read: dict[bytes, list[bytes]], minor: int) -> bytes:
    hosts = read.get(b"host", [])
    if not hosts and minor == 0:
        return b""
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise RequestError("bad-request", "There must be exactly one valid Host field.")
    return hosts[0]


def _aim(method: bytes, target: bytes, host: bytes, minor: int) -> tuple[bytes, bytes]:
    """The target in origin form, and its host; an absolute target must agree with the Host field."""
    if method == b"CONNECT":
        raise RequestError("not-implemented", "")
    if (target.startswith(b"/") and b"#" not in target) or (target == b"*" and method == b"OPTIONS"):
        return target, host
    if absolute := _ABSOLUTE.fullmatch(target):
        # RFC 9112 section 3.2.4: OPTIONS of a target without a path asks about the server as a whole.
        authority, path = absolute[2], absolute[3] or (b"*" if method == b"OPTIONS" else b"/")
        port = _DEFAULT_PORTS[absolute[1].lower()]
        # RFC 9112 section 3.2.2 lets the target win, but section 3.2 tells clients to send the same in both. A server
        # in front that decides by the Host field would have decided about another host: so they may not disagree.
        same = authority.lower().removesuffix(port) == host.lower().removesuffix(port)
        if not _HOST.fullmatch(authority) or not (same or not (host or minor)):
            raise RequestError("bad-request", "The target and the Host field name different hosts; send one in both.")
        return (b"/" + path if path.startswith(b"?") else path), authority
    raise RequestError("bad-request", "The request target must be a path.")


def _request_framing(read: dict[bytes, list[bytes]], minor: int) -> tuple[int | None, bool]:
    """Content-Length and whether the body is chunked, by RFC 9112 section 6.3; everything ambiguous is refused."""
    lengths, codings = read.get(b"content-length"), read.get(b"transfer-encoding")
    if codings is not None:
        if lengths is not None:
            raise RequestError("bad-request", "Content-Length and Transfer-Encoding exclude each other.")
        if len(codings) != 1 or codings[0].lower() != b"chunked" or minor == 0:
            raise RequestError("bad-request", "Transfer-Encoding must be `chunked`, once, in HTTP/1.1.")
        return None, True
    if lengths is None:
        return None, False
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        raise RequestError("bad-request", "Content-Length must be one number in digits.")
    return int(lengths[0]), False
