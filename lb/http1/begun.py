"""`Snapsurge-Begun` in a node's answer: the request that began what this one continues, when the service failed it.

A request that continues an upload is a PATCH to a path of the node's own, so no ticket can be bound to it. With a 502,
503, 504 or 507 the node may say which POST began the upload: when that was received (unix ms), and its head in
base64url, as far as a ticket is bound to it. The balancer signs the ticket that it would have given had it refused that
request, for the user of this one, and removes the field; for a trusted balancer in front, which signs too, it is kept.
Nodes are believed here as in everything else that they answer. Pure.
"""

import base64
import binascii
import re
from typing import Final

import msgspec

from .errors import RequestError
from .head import RequestHead, ResponseHead, parse_request

NAME: Final = b"snapsurge-begun"
_VALUE: Final = re.compile(rb"([0-9]{12,14}) ([0-9A-Za-z_-]{1,8192}={0,2})")


def begun_in(answer: ResponseHead) -> bytes:
    """The field's value; empty when there is none. Server errors are never `ordinary`."""
    for field in answer.fields:
        name, _, value = field.partition(b":")
        if name.lower() == NAME:
            return value.strip(b" \t")
    return b""


def beginning(value: bytes, continued: RequestHead) -> tuple[RequestHead, int] | None:
    """The head of the POST that began what `continued` continues, and when it was received; None if it is malformed."""
    found = _VALUE.fullmatch(value)
    if found is None or continued.method == b"POST":
        return None
    try:
        head = parse_request(base64.urlsafe_b64decode(found[2]))
    except (binascii.Error, RequestError):
        return None
    return msgspec.structs.replace(head, authorization=continued.authorization), int(found[1])
