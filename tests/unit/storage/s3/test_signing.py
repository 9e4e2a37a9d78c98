"""Signatures: letter for letter those of botocore's own signer."""

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from storage.s3.signing import Keys, signed


class Unsigned(S3SigV4Auth):  # type: ignore[misc] # botocore has no types
    """botocore's signer with the body left out."""

    def payload(self, _request: AWSRequest) -> str:
        """Not part of the signature."""
        return "UNSIGNED-PAYLOAD"


PATH = r"/bucket/[a-z0-9/._~-]{1,40}(\?list-type=2&prefix=[a-z0-9~]{1,9}(%2F|%20|%C3%A4){0,3})?"
TEXT = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789/+=", min_size=8, max_size=40)


@given(
    TEXT,
    TEXT,
    st.none() | TEXT,
    st.sampled_from(["PUT", "GET"]),
    st.from_regex(
        r"/bucket/[a-z0-9/._~-]{1,40}(\?list-type=2&prefix=[a-z0-9~]{1,9}(%2F|%20|%C3%A4){0,3})?", fullmatch=True
    ),
)
def test_the_signature_is_botocores(access: str, secret: str, token: str | None, method: str, path: str) -> None:
    """For any keys, with and without a session, and any path of unreserved characters."""
    host = "127.0.0.1:9000"
    fields = {"if-none-match": "*", "x-amz-checksum-crc32": "AAAAAA==", "content-length": "5"}
    ours = signed(Keys(access, secret, token), "eu-west-1", host, method, path, fields, "20260131T235959Z")

    request = AWSRequest(method, f"http://{host}{path}", headers={**fields, "host": host})
    request.context["timestamp"] = ours["x-amz-date"]
    signer = Unsigned(Credentials(access, secret, token), "s3", "eu-west-1")
    # botocore has no public way to sign at a given time; this is what its `add_auth` calls first.
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}," in ours["authorization"]
