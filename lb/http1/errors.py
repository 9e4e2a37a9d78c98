"""All failures that the balancer itself reports to a client: one table of code, status and what the client can do.

`problem` writes the answer as RFC 9457 `application/problem+json`. The answers of nodes pass unchanged. `stored` tells
the client whether a node may have stored something: `"unknown"` when a node may have the whole request, else `false`.
`type` is where the nodes of this project explain the code; in front of other servers it is a mere identifier.
"""

from typing import Literal

import msgspec

Stored = Literal[False, "unknown"]


class Problem(msgspec.Struct, frozen=True):
    """One row: HTTP status, title, a sentence for the client, and whether a retry may succeed."""

    status: int
    title: str
    detail: str
    retry: bool = False


PROBLEMS: dict[str, Problem] = {
    "bad-request": Problem(400, "Bad Request", "The request is malformed; correct it before sending it again."),
    "no-such-page": Problem(404, "Not Found", "Nothing is served here; use the paths that the service documents."),
    "too-slow": Problem(408, "Request Timeout", "The request came too slowly; send it again on a better connection."),
    "too-large": Problem(413, "Content Too Large", "The body is over the limit of this service; send a smaller one."),
    "uri-too-long": Problem(414, "URI Too Long", "Send a shorter path and query."),
    "expectation-failed": Problem(417, "Expectation Failed", "Only `Expect: 100-continue` is known; leave it out."),
    "head-too-large": Problem(431, "Request Header Fields Too Large", "Send fewer or shorter header fields."),
    "not-implemented": Problem(501, "Not Implemented", "This method is not served; use another one."),
    "bad-gateway": Problem(502, "Bad Gateway", "The node failed during the request; send it again.", retry=True),
    "no-nodes": Problem(503, "Service Unavailable", "No node can take the request now; retry later.", retry=True),
    "overloaded": Problem(503, "Service Unavailable", "Too many connections; retry later.", retry=True),
    "gateway-timeout": Problem(504, "Gateway Timeout", "The node did not answer in time; send it again.", retry=True),
    "version-not-supported": Problem(505, "HTTP Version Not Supported", "Speak HTTP/1.1 or HTTP/1.0."),
}


# A browser hides an answer without these fields from the script that sent the request, with its Retry-After and its
# ticket. Which origins a service trusts the balancer does not know, and need not: an answer of its own says only what
# the sender knows or may know, and depends on no cookie. Preflight requests are forwarded, for the nodes to decide.
READABLE = (
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After, Snapsurge-Ticket, X-Request-Id\r\n"
)


class RequestError(Exception):
    """A request that the balancer refuses: `code` is a key of PROBLEMS, `detail` names the defect."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ResponseError(Exception):
    """A node's answer that is not valid HTTP/1.x; the client gets 502 if nothing was relayed yet."""


def problem(
    code: str,
    request_id: bytes,
    *,
    detail: str = "",
    stored: Stored = False,
    retry_after_s: int = 0,
    ticket: bytes = b"",
    close: bool = True,
    bodiless: bool = False,
) -> bytes:
    """The whole answer, head and body; `bodiless` leaves the body out, for HEAD.

    `ticket`, unless empty, lets the client's retry keep the time at which this request was received.
    """
    row = PROBLEMS[code]
    said = {
        "type": f"/docs/problems#{code}",
        "title": row.title,
        "status": row.status,
        "code": code,
        "detail": f"{detail} {row.detail}" if detail else row.detail,
        "request_id": request_id.decode("ascii"),
        "stored": stored,
    }
    body = msgspec.json.encode(said)
    retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s and row.retry else ""
    if ticket:
        retry += f"Snapsurge-Ticket: {ticket.decode('ascii')}\r\n"
    # no-store: no cache may answer a retry with an old failure.
    head = (
        f"HTTP/1.1 {row.status} {row.title}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        f"X-Request-Id: {said['request_id']}\r\n{retry}"
        f"{READABLE}Via: 1.1 snapsurge\r\nConnection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if bodiless else body)
