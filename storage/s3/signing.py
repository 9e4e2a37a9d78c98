"""Signs calls to S3: AWS Signature Version 4, in the one form that the hot path needs.

Pure. The signature does not cover the body (`UNSIGNED-PAYLOAD`) but its CRC-32, as a signed `x-amz-checksum-crc32`,
which the store checks before it commits. botocore's own signer costs ten times as much, and over http:// it hashes the
body whatever the headers say. Source: "Signing and authenticating REST requests", Amazon S3 API Reference.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(msgspec.Struct, frozen=True):
    """The keys that sign a request; only temporary keys have a token."""

    access: str
    secret: str
    token: str | None = None


def signed(
    keys: Keys, region: str, host: str, method: str, path: str, fields: Mapping[str, str], date: str
) -> dict[str, str]:
    """The header fields with those that sign them, for a call about `path` (percent-encoded); names in lower case.

    The pairs of a query after `?` must be percent-encoded and sorted by name.

    `date` is the time as `20260131T235959Z`; the store refuses one that is 15 minutes off.
    """
    fields = {**fields, "host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": date}
    if keys.token:
        fields["x-amz-security-token"] = keys.token
    names = sorted(fields)
    lines = "".join(f"{name}:{fields[name]}\n" for name in names)
    listed = ";".join(names)
    bare, _, query = path.partition("?")
    request = f"{method}\n{bare}\n{query}\n{lines}\n{listed}\nUNSIGNED-PAYLOAD"
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret, scope), text.encode(), "sha256").hex()
    said = f"{_ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={listed}, Signature={signature}"
    return fields | {"authorization": said}


@lru_cache(maxsize=4)
def _signing_key(secret: str, scope: str) -> bytes:
    """Cached, because the key is the same for a whole day."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
