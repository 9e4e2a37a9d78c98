"""Writes heads: the request for the node, the answer for the client.

`head.py` has removed the hop-by-hop fields. The framing is written from the parsed values, so that the node cannot read
a length other than the one that the balancer counts. Only an ordinary head (`ordinary.py`) is copied with its framing,
which is canonical. Pure: times and ids come in.
"""

from .head import RequestHead, ResponseHead
from .origin import Origin


def request_head(head: RequestHead, origin: Origin, received_ms: int, request_id: bytes, stamp: bytes = b"") -> bytes:
    """The head for a node: the client's end-to-end fields, then the balancer's own.

    `received_ms` is when the first balancer received the request, in unix milliseconds; the line `stamp` proves it.
    """
    if head.ordinary:
        return (
            b"%bSnapsurge-Received-At: %d\r\n%bX-Request-Id: %b\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n"
            b"X-Forwarded-Host: %b\r\nVia: 1.1 snapsurge\r\n\r\n"
            % (head.ordinary, received_ms, stamp, request_id, origin.forwarded_for, origin.proto, head.host)
        )
    # HTTP/1.0 may leave Host out, HTTP/1.1 may not.
    host = head.host or b"localhost"
    if head.chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif head.length is not None:
        framing = b"Content-Length: %d\r\n" % head.length
    else:
        framing = b""
    if head.expects_continue:
        framing += b"Expect: 100-continue\r\n"
    fields = b"\r\n".join(head.fields) + b"\r\n" if head.fields else b""
    if origin.others:
        fields += b"\r\n".join(origin.others) + b"\r\n"
    if origin.retry:
        fields += b"Snapsurge-Retry: 1\r\n"
    if origin.tried_ms:
        fields += b"Snapsurge-Tried-At: %d\r\n" % origin.tried_ms
    return (
        b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bSnapsurge-Received-At: %d\r\n%bX-Request-Id: %b\r\nX-Forwarded-For: %b\r\n"
        b"X-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nVia: 1.%d snapsurge\r\n\r\n"
        % (
            head.method,
            head.target,
            host,
            fields,
            framing,
            received_ms,
            stamp,
            request_id,
            origin.forwarded_for,
            origin.proto,
            origin.host or host,
            head.minor,
        )
    )


def response_head(
    head: ResponseHead, *, request_id: bytes, minor: int, keep_alive: bool, chunked: bool, bodiless: bool
) -> bytes:
    """The head for the client, whose HTTP version is 1.`minor`.

    `chunked` says how the body is sent: a chunked answer to an HTTP/1.0 client is sent without chunks and ends with the
    connection. A `bodiless` answer (HEAD, 304) keeps its Content-Length (RFC 9110 section 8.6); a 204 has none.
    """
    if head.ordinary and keep_alive and minor:
        if head.has_request_id:
            return head.ordinary + b"Via: 1.1 snapsurge\r\n\r\n"
        return b"%bX-Request-Id: %b\r\nVia: 1.1 snapsurge\r\n\r\n" % (head.ordinary, request_id)
    parts = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *_fields(head)]
    if chunked and not bodiless:
        parts.append(b"Transfer-Encoding: chunked")
    elif head.length is not None and head.status != 204 and not head.ordinary:
        parts.append(b"Content-Length: %d" % head.length)
    if not head.has_request_id:
        parts.append(b"X-Request-Id: " + request_id)
    parts.append(b"Via: 1.1 snapsurge")
    if not keep_alive:
        parts.append(b"Connection: close")
    elif minor == 0:
        parts.append(b"Connection: keep-alive")
    parts.append(b"\r\n")
    return b"\r\n".join(parts)


def interim_head(head: ResponseHead) -> bytes:
    """The head of an interim answer (1xx): status line and fields, without framing and connection options."""
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (head.status, head.reason), *head.fields, b"\r\n"])


def _fields(head: ResponseHead) -> list[bytes]:
    """The field lines; those of an ordinary head include its Content-Length."""
    return head.ordinary.split(b"\r\n")[1:-1] if head.ordinary else head.fields
