"""What an answer of the store means: an expected error of the port, or a failure of the store, which is logged."""

from collections.abc import Awaitable

from ..blobs import BlobExists, BlobMissing, QuorumLost, StoreFull, StoreUnavailable, StoreUnsuitable
from ..failures import Failures
from . import credentials, remedies
from .answer import NO_QUORUM, Answer

# Without ConditionalRequestConflict: S3 sends it after a concurrent delete, and asks for a retry.
_EXISTS = {"PreconditionFailed", "BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
# Only what says so: a 404 of a bucket that is gone, or of a server that is no store, is no missing object.
_MISSING = {"NoSuchKey", "InvalidRange"}
_NO_BUCKET = {"NoSuchBucket", "NotFound", "404"}  # an answer to HEAD has no text
_FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "507"}
_UNABLE = {"NotImplemented", "501"}


class NoBucket(StoreUnavailable):
    """There is no bucket at the address."""


class Away(StoreUnavailable):
    """The store did not answer, or said that it cannot now: the same call may succeed a moment later."""


class Outcomes:
    """The outcomes of all calls to one bucket; `name` is what log lines call it."""

    def __init__(self, name: str) -> None:
        self._failures = Failures(name)

    async def done(self, what: str, call: Awaitable[Answer], *expected: type[Exception]) -> Answer:
        """The answer if the call succeeded; else one of the `expected` errors, which mean no failure of the store.

        Every other answer is StoreUnavailable, is logged, and has the call and the store's reason in its text.
        """
        method = what.partition(" ")[0]
        try:
            answer = await call
        except OSError as error:
            keyless = isinstance(error, credentials.NoKeys)
            remedy = remedies.NO_KEYS if keyless else remedies.SILENT
            self._failures.failed(f"{method}: {type(error).__name__}: {error}", remedy)
            raise (StoreUnavailable if keyless else Away)(f"{what}: {type(error).__name__}: {error}") from error
        if not answer.went_well:
            kind, said = _error_of(answer.code), remedies.said(answer.status, answer.code, answer.region)
            if kind not in expected:
                kind = kind if issubclass(kind, StoreUnavailable) else StoreUnavailable
                kind = Away if kind is StoreUnavailable and answer.worth_a_retry else kind
                self._failures.failed(f"{method}: {said}", remedies.remedy(answer.status, answer.code))
            raise kind(f"{what}: the store answered {said}")
        return answer


def _error_of(code: str) -> type[Exception]:
    """The error class for an S3 error code."""
    if code in _EXISTS:
        return BlobExists
    if code in _MISSING:
        return BlobMissing
    if code in _NO_BUCKET:
        return NoBucket
    if code in NO_QUORUM:
        return QuorumLost
    if code in _UNABLE:
        return StoreUnsuitable
    return StoreFull if code in _FULL else StoreUnavailable
