"""What a store answered, and whether to ask again."""

import pytest

from storage.s3.answer import NO_QUORUM, Answer


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
