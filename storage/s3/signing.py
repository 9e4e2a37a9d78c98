"""Signs a call to S3: AWS Signature Version 4 in the one form that the hot path needs.

Pure. The body is not part of the signature (`UNSIGNED-PAYLOAD`): its CRC-32 is, as a signed `x-amz-checksum-crc32`,
which the store checks before it commits. botocore's own signer costs ten times as much, and on http:// it hashes the
body whatever the headers say. Source: "Signing and authenticating REST requests", Amazon S3 API Reference.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(msgspec.Struct, frozen=True):
    """What a signature is made with; the token is there with temporary keys only."""

    access: str
    secret: str
    token: str | None = None


def signed(
    keys: Keys, region: str, host: str, method: str, path: str, fields: Mapping[str, str], stamp: str
) -> dict[str, str]:
    """The fields of a call about `path` (percent-encoded) with those that sign them all; names in lower case.

    A query behind `?` is one pair, percent-encoded.

    `stamp` is the time as `20260131T235959Z`; the store refuses one that is a quarter of an hour off.
    """
    fields = {**fields, "host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": stamp}
    if keys.token:
        fields["x-amz-security-token"] = keys.token
    names = sorted(fields)
    lines = "".join(f"{name}:{fields[name]}\n" for name in names)
    listed = ";".join(names)
    place, _, query = path.partition("?")
    request = f"{method}\n{place}\n{query}\n{lines}\n{listed}\nUNSIGNED-PAYLOAD"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret, scope), text.encode(), "sha256").hex()
    said = f"{_ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={listed}, Signature={signature}"
    return fields | {"authorization": said}


@lru_cache(maxsize=4)
def _signing_key(secret: str, scope: str) -> bytes:
    """The same for a day."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
