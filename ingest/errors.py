"""Every error that a client can see: a table of stable codes, and the conversion to problem+json (RFC 9457).

Pure. A handler raises `Refusal(code, detail)`; the detail says what the client should do. A 4xx status is the client's
fault, 5xx the server's. `stored` is False if certainly nothing was stored, "unknown" if the store did not answer, and
absent where nothing was to be stored. `type` leads to the paragraph about the code in `pages/problems.html`, or is that
of the draft for resumable uploads where it has one.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

import msgspec

Stored = Literal["unknown"] | bool | None

CODES: dict[str, tuple[HTTPStatus, str]] = {
    "bad-request": (HTTPStatus.BAD_REQUEST, "The request is malformed"),
    "bad-multipart": (HTTPStatus.BAD_REQUEST, "The multipart body is malformed"),
    "inconsistent-length": (HTTPStatus.BAD_REQUEST, "Lengths of the upload differ"),
    "upload-completed": (HTTPStatus.BAD_REQUEST, "The upload is complete"),
    "unauthenticated": (HTTPStatus.UNAUTHORIZED, "No valid token"),
    "forbidden": (HTTPStatus.FORBIDDEN, "The token does not allow this"),
    "bad-link": (HTTPStatus.FORBIDDEN, "The link is not valid here"),
    "link-expired": (HTTPStatus.FORBIDDEN, "The link has expired"),
    "no-such-moment": (HTTPStatus.NOT_FOUND, "There is no such moment"),
    "no-such-post": (HTTPStatus.NOT_FOUND, "There is no such post"),
    "no-such-rendition": (HTTPStatus.NOT_FOUND, "This rendition comes later"),
    "no-account": (HTTPStatus.NOT_FOUND, "The moment has not settled"),
    "no-such-upload": (HTTPStatus.NOT_FOUND, "There is no such upload"),
    "no-such-page": (HTTPStatus.NOT_FOUND, "There is nothing here"),
    "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed"),
    "too-slow": (HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly"),
    "already-posted": (HTTPStatus.CONFLICT, "Other photos were posted for this moment"),
    "superseded": (HTTPStatus.CONFLICT, "A later upload or deletion by this user took effect first"),
    "wrong-offset": (HTTPStatus.CONFLICT, "The offset is not that of the upload"),
    "upload-taken-over": (HTTPStatus.CONFLICT, "A newer request continues the upload"),
    "moment-not-open": (HTTPStatus.CONFLICT, "The moment has not fired yet"),
    "moment-fired": (HTTPStatus.CONFLICT, "The moment can no longer be changed"),
    "moment-closed": (HTTPStatus.GONE, "The moment takes no more posts"),
    "pair-damaged": (HTTPStatus.GONE, "The stored pair cannot be read"),
    "too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too many bytes"),
    "not-a-photo": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a photo of a known type"),
    "not-a-part": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a part of an upload"),
    "bad-range": (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "The requested range is outside the image"),
    "expectation-failed": (HTTPStatus.EXPECTATION_FAILED, "Unsupported Expect value"),
    "bad-photo": (HTTPStatus.UNPROCESSABLE_ENTITY, "The photo cannot be accepted"),
    "rate-limited": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests by this user"),
    "internal": (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"),
    "overloaded": (HTTPStatus.SERVICE_UNAVAILABLE, "The service is overloaded"),
    "storage-unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "The store or Redis does not answer"),
    "scaling-unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "No current scaling decision"),
    "storage-full": (HTTPStatus.INSUFFICIENT_STORAGE, "The store is full"),
}

# Problem types of draft-ietf-httpbis-resumable-upload, for the codes that are the same.
TYPES: dict[str, str] = {
    "wrong-offset": "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
    "inconsistent-length": "https://iana.org/assignments/http-problem-types#inconsistent-upload-length",
    "upload-completed": "https://iana.org/assignments/http-problem-types#completed-upload",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error answer; `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    stored: Stored = None
    expected_offset: int | None = msgspec.field(name="expected-offset", default=None)
    provided_offset: int | None = msgspec.field(name="provided-offset", default=None)


class Refusal(Exception):
    """Answer the request with this code of `CODES`; `detail` says what the client should do.

    `offsets` are the right offset of an upload, and that of the request.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        stored: Stored = None,
        offsets: tuple[int | None, int | None] = (None, None),
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.stored = stored
        self.offsets = offsets

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code][0]

    def problem(self, request_id: str) -> Problem:
        """The body of the error answer."""
        status, title = CODES[self.code]
        return Problem(
            type=TYPES.get(self.code, f"/docs/problems#{self.code}"),
            title=title,
            status=status,
            code=self.code,
            detail=self.detail,
            request_id=request_id,
            stored=self.stored,
            expected_offset=self.offsets[0],
            provided_offset=self.offsets[1],
        )
