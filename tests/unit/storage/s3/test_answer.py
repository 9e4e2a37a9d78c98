"""storage.s3.answer: what an answer says, and whether asking again may help."""

import pytest

from storage.s3.answer import NO_QUORUM, Answer

HEAD = b'HTTP/1.1 200 OK\r\nETag: "a b" \r\nx-amz-version-id:v1\r\nX-Amz-Bucket-Region: eu-west-1\r\n\r\n'


def test_fields_are_read_whatever_their_case() -> None:
    """The entity tag with its quotes; what is not there is empty."""
    answer = Answer(200, head=HEAD)
    assert (answer.etag, answer.version, answer.region) == ('"a b"', "v1", "eu-west-1")
    assert Answer(200).etag == ""


@pytest.mark.parametrize(
    ("status", "code", "well", "again"),
    [
        (200, "", True, False),
        (204, "", True, False),
        (200, "InternalError", False, True),
        (404, "NoSuchKey", False, False),
        (412, "PreconditionFailed", False, False),
        (409, "ConditionalRequestConflict", False, True),
        (400, "BadDigest", False, True),
        (400, "400", False, False),
        (500, "InternalError", False, True),
        (503, "SlowDown", False, True),
        (503, "SlowDownWrite", False, False),
        (202, "202", False, False),
    ],
)
def test_what_went_well_and_what_may_be_asked_again(status: int, code: str, *, well: bool, again: bool) -> None:
    """By status and code."""
    answer = Answer(status, code=code)
    assert (answer.went_well, answer.worth_a_retry) == (well, again)


@pytest.mark.parametrize(
    ("status", "code", "worth"),
    [
        *((status, "", True) for status in (429, 500, 502, 503, 504)),
        *((400, code, True) for code in ("RequestTimeout", "BadDigest", "IncompleteBody")),
        (400, "XAmzContentChecksumMismatch", True),
        (409, "ConditionalRequestConflict", True),
        *((status, "", False) for status in (400, 403, 404, 409, 412, 501, 507)),
    ],
)
def test_what_is_worth_a_retry(status: int, code: str, *, worth: bool) -> None:
    """Later, garbled, or crossed by a delete; what says no says it to the next try too."""
    assert Answer(status, code=code).worth_a_retry is worth


@pytest.mark.parametrize("code", sorted(NO_QUORUM))
def test_a_store_that_cannot_agree_is_not_asked_again(code: str) -> None:
    """It says 503, but this is no load."""
    assert not Answer(503, code=code).worth_a_retry
