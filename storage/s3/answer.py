"""What a store answered: status, body, error code, the fields that matter, and whether to ask again. Pure."""

import re
from typing import Final

import msgspec

_ETAG: Final = re.compile(rb"\r\netag:[ \t]*([^\r\n]+)", re.IGNORECASE)
_VERSION: Final = re.compile(rb"\r\nx-amz-version-id:[ \t]*([^\r\n]+)", re.IGNORECASE)
_REGION: Final = re.compile(rb"\r\nx-amz-bucket-region:[ \t]*([^\r\n]+)", re.IGNORECASE)
CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_LATER: Final = {429, 500, 502, 503, 504}
# Codes of a 400 which say that the body was damaged on the way.
_GARBLED: Final = {"RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch"}
# The code of a 409 to a conditional PUT that raced with a delete: "on a 409 failure you should retry the upload".
_CROSSED: Final = {"ConditionalRequestConflict"}
# A member of a cluster that has just started; others may serve.
NOT_YET: Final = {"XMinioServerNotInitialized", "XMinioIAMNotInitialized", "XMinioBucketMetadataNotInitialized"}
# Load, of which an endpoint is not the cause.
BUSY: Final = {"SlowDown", "ServiceUnavailable", "429", "503"}
# Codes of MinIO's 503 when too few members are there: no load, and no use to ask again at once.
# The last three are our own: members that do not see each other, that have what those which are there lack, or that
# went while something was changed, of which it is not known what it replaced.
NO_QUORUM: Final = {"SlowDownWrite", "SlowDownRead", "MembersApart", "CopiesAway", "VersionsUnknown"}
DONE: Final = {200, 204, 206}  # a PUT, GET or HEAD; a DELETE; a range


class Answer(msgspec.Struct, frozen=True):
    """The store's answer: HTTP status, the object's bytes if requested, else S3's error code."""

    status: int
    body: bytes = b""
    code: str = ""
    head: bytes = b""

    @property
    def etag(self) -> str:
        """The entity tag with its quotes; S3 derives it from the content or, with some encryption, at random."""
        return _told(_ETAG, self.head)

    @property
    def version(self) -> str:
        """The object's version; empty in a bucket without versioning."""
        return _told(_VERSION, self.head)

    @property
    def region(self) -> str:
        """The region of the bucket, where the store names it: with a redirect to it."""
        return _told(_REGION, self.head)

    @property
    def went_well(self) -> bool:
        """Whether the request succeeded; a store may send 200 before it knows, and then an error as the body."""
        return self.status in DONE and not self.code

    @property
    def worth_a_retry(self) -> bool:
        """Whether the same request may succeed a moment later."""
        if self.code in NO_QUORUM:
            return False
        return self.status in _LATER or self.code in _GARBLED | _CROSSED or (self.status in DONE and bool(self.code))


def _told(field: re.Pattern[bytes], head: bytes) -> str:
    found = field.search(head)
    return found[1].decode("ascii", "replace").strip() if found else ""
