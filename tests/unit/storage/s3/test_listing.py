"""Pages of a listing as S3 sends them, and which listings cover which folders."""

import pytest

from storage.blobs import Entry, StoreUnavailable
from storage.s3.listing import parse_page, starts_of

HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


def test_a_page_has_keys_sizes_and_the_next_token() -> None:
    """Keys are percent-encoded, the token is not: MinIO's ends in `=` and may hold `+`."""
    items = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>x</ETag></Contents>"
        for key, size in (("a7/x.zip", 12), ("a7/a%2Bb+%C3%A9%20&amp;", 0))
    )
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>a+b%2B/==</NextContinuationToken>"
    page = parse_page(f"{HEAD}{more}{items}</ListBucketResult>".encode())

    assert page.entries == [Entry("a7/x.zip", 12), Entry("a7/a+b é &", 0)]
    assert page.more == "a+b%2B/=="


def test_the_last_page_has_no_next() -> None:
    """Whatever token it names."""
    raw = f"{HEAD}<IsTruncated>false</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>"
    assert parse_page(raw.encode()).more is None


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{}",
        HEAD,
        "<Error><Code>SlowDown</Code></Error>",
        f"{HEAD}<Contents><Size>1</Size></Contents></ListBucketResult>",
        f"{HEAD}<Contents><Key>x</Key><Size>many</Size></Contents></ListBucketResult>",
    ],
)
def test_what_is_no_listing_is_an_error_of_the_store(raw: str) -> None:
    """Never an empty listing: the sweeper would take everything for deleted."""
    with pytest.raises(StoreUnavailable):
        parse_page(raw.encode())


def test_folders_that_differ_after_the_last_dash_share_a_start() -> None:
    """One alone is exact, and so are names without a dash."""
    assert starts_of(("eu-1-a", "eu-1-b", "us-1-c")) == ("eu-1-", "us-1-c/")
    assert starts_of(("plain", "other")) == ("plain/", "other/")
