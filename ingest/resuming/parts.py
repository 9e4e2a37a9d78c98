"""What the heads of an upload's requests must say: offset, completeness, media type, and lengths that fit each other.

Versions differ in `versions.py`. Nothing here reads a body; an upload learns its length, as the draft wants, from the
first request that tells it.
"""

from aiohttp import web

from ..admission import Admission
from ..body.receiving import Receiver
from ..errors import Refusal
from .resource import Resource
from .versions import INTEROP, LENGTH, OFFSET, PART_TYPE, Limits, Version, integer


class Parts:
    """The checks of a node where a pair may have `bytes_max` bytes; `offered` are the limits that clients are told."""

    def __init__(self, receiver: Receiver, admission: Admission, bytes_max: int, offered: Limits) -> None:
        self._receiver, self._admission, self._bytes_max, self.offered = receiver, admission, bytes_max, offered

    def check_bare(self, request: web.Request, version: Version) -> None:
        """Refusal when a HEAD or DELETE has fields that the version forbids."""
        if not version.is_bare(request.headers):
            detail = "this request has no Upload-Offset, Upload-Complete or Upload-Length"
            raise Refusal("bad-request", detail, headers={INTEROP: str(version.number)})

    def part(self, request: web.Request, version: Version) -> tuple[int, bool]:
        """The offset of a part, and whether it is the last one; Refusal when the head does not say."""
        complete, offset = version.complete(request.headers), integer(request.headers, OFFSET)
        complete = version.complete_unless_said if complete is None else complete
        if offset is None or complete is None:
            detail = "a PATCH says Upload-Offset: <bytes>, and Upload-Complete: ?1 with the last part, ?0 before"
            raise Refusal("bad-request", detail, stored=False)
        if version.typed and request.content_type != PART_TYPE:
            raise Refusal("not-a-part", f"send Content-Type: {PART_TYPE}", headers={"Accept-Patch": PART_TYPE})
        self._receiver.check_plain(request)
        return offset, complete

    def told_length(
        self, request: web.Request, version: Version, offset: int, *, complete: bool, bound: bool = False
    ) -> int | None:
        """The length of the whole upload, as far as this request tells it; Refusal when it tells two.

        `bound`: `Upload-Length` counts, also in a version without that field.
        """
        content = content_length(request)
        length = integer(request.headers, LENGTH) if bound else version.length(request.headers)
        told = {length, offset + content if complete and content is not None else None}
        known = told - {None}
        if len(known) > 1 or any(one is not None and one < offset + (content or 0) for one in known):
            raise Refusal("inconsistent-length", "Upload-Length and Content-Length differ", stored=False)
        return known.pop() if known else None

    def _learn_length(self, version: Version, resource: Resource, length: int | None) -> None:
        """Take the length that a later request tells; Refusal when it is another than before, or too much."""
        if length is None:
            return
        if resource.length not in (None, length):
            detail = f"the upload was to have {resource.length} bytes, not {length}"
            raise Refusal("inconsistent-length", detail, stored=False)
        if length > self._bytes_max:
            raise self.too_long(None, version)
        resource.length = length
        self._admission.announce(resource.body.place, length)

    def check(self, request: web.Request, version: Version, found: Resource, offset: int, *, complete: bool) -> None:
        """Refusal when a part does not fit what has arrived."""
        if offset != found.offset:
            detail = f"the upload has {found.offset} bytes; send those that follow"
            raise Refusal("wrong-offset", detail, stored=False, offsets=(found.offset, offset))
        self._learn_length(version, found, self.told_length(request, version, offset, complete=complete))
        if offset + (content_length(request) or 0) > found.body.place.length:
            raise self.too_long(found.length, version)

    def too_long(self, length: int | None, version: Version) -> Refusal:
        """The refusal of more bytes than were announced, or, where no length was, than a pair may have."""
        if length is not None:
            detail = f"the upload was to have {length} bytes, and has more"
            return Refusal("inconsistent-length", detail, stored=False)
        detail = f"a pair may have {self._bytes_max} bytes"
        return Refusal("too-large", detail, headers=version.limit(self.offered), stored=False)


def content_length(request: web.Request) -> int | None:
    """The length of a request's content; None of one that comes in chunks."""
    return request.content_length if request.body_exists else 0
