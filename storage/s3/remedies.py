"""What a person should do about an error of the store, by its code or status. Pure.

The codes are those of "Error responses", Amazon S3 API Reference; other stores use the same.
"""

from typing import Final

SILENT: Final = "check that the store runs and that this machine reaches it"
NO_KEYS: Final = "check the source of the credentials: environment variables, profile or role, as botocore reads them"
_OTHER: Final = "look into the store's log"
_KEYS: Final = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_RIGHTS: Final = "give the keys the permissions that storage/s3/store.py lists, and check that they are right"
_REGION: Final = "name the bucket's region and endpoint in SNAPSURGE_STORE_URL"
_BUSY: Final = "the store is overloaded or restarts: wait, or give it more capacity"
_FEATURE: Final = "this store lacks a feature that is needed (conditional PUTs); use another one or a later version"
_QUORUM: Final = "too few members of the store run to agree on a change: start those that are missing"
_APART: Final = (
    "members of the store do not see each other, as for up to a minute after a restart: wait; if it lasts, look at the "
    "network between them, for endpoints that answer too late, and for one that ignores conditional writes or is of "
    "another store (see the log)"
)
_AWAY: Final = (
    "the members that hold the newest version of an object are down, or more than a third of all members are: start "
    "them; then heal the store before the next one is stopped (deploy/README.md)"
)
_UNKNOWN: Final = (
    "members or drives of the store are down, and the versions of what was changed meanwhile cannot be listed: start "
    "them, and give the keys the permission ListBucketVersions"
)
_BUCKET: Final = (
    "SNAPSURGE_STORE_URL names no bucket of this store, or the bucket was deleted: correct the address, or restore the "
    "bucket before you restart a program, which would make an empty one"
)
_UNFIT: Final = "no endpoint of the store has been seen to keep conditional writes: see the errors of its endpoints"
_SPACE: Final = "free space in the store"

_REMEDIES: Final = {
    **dict.fromkeys(("SlowDownWrite", "SlowDownRead"), _QUORUM),
    "MembersApart": _APART,
    "CopiesAway": _AWAY,
    "VersionsUnknown": _UNKNOWN,
    "RequestTimeTooSkewed": "set this machine's clock, which differs from the store's by minutes",
    **dict.fromkeys(("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("301", "307", "IllegalLocationConstraintException"), _REGION),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"), _KEYS),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "403", "401"), _RIGHTS),
    **dict.fromkeys(("NotImplemented", "501", "MethodNotAllowed", "405"), _FEATURE),
    "NoSuitableEndpoint": _UNFIT,
    **dict.fromkeys(("NoSuchBucket", "NotFound", "404"), _BUCKET),
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "InternalError", "500", "502", "503", "504"), _BUSY),
    **dict.fromkeys(("XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "507"), _SPACE),
}


def said(status: int, code: str, region: str = "") -> str:
    """Status and code of an answer, and the region that it names; an answer without a text has its status as code."""
    text = f"{status} {code}" if code != str(status) else code
    return f"{text} (the bucket is in {region})" if region and _REMEDIES.get(code) == _REGION else text


def remedy(status: int, code: str) -> str:
    """What an operator should do about an answer with this status and error code, as part of a log line."""
    return _REMEDIES.get(code) or _REMEDIES.get(str(status)) or _OTHER
