"""Listings: queries in the form that a signature needs, and documents of S3, MinIO and none."""

import pytest

from storage.blobs import Entry
from storage.s3.listing import BadListing, Page, parsed, query, starts_of

# The sample answer of "ListObjectsV2", Amazon S3 API Reference, shortened to what is read and what must be passed over.
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>a7/</Prefix>
<IsTruncated>{more}</IsTruncated>{token}<Contents><Key>a7/my+image%2B.jpg</Key>
<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size></Contents>
<Contents><Size>0</Size><Key>a7/zero</Key></Contents><CommonPrefixes><Prefix>a7/x/</Prefix></CommonPrefixes>
</ListBucketResult>"""


def test_a_query_names_what_is_wanted() -> None:
    """The token takes the place of the start; keys come percent-encoded, because XML cannot hold every key."""
    asked = {"encoding-type": "url", "list-type": "2", "max-keys": "1000"}

    assert query("a7/", "a7/m") == {**asked, "prefix": "a7/", "start-after": "a7/m"}
    assert query("a7/", "a7/m", "t/=") == {**asked, "prefix": "a7/", "continuation-token": "t/="}
    assert query("", most=5) == {**asked, "max-keys": "5"}


def test_a_page_and_the_next() -> None:
    """Keys are decoded, sizes are bytes, the token is that of a truncated page alone."""
    token = "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
    entries = [Entry("a7/my image+.jpg", 434234), Entry("a7/zero", 0)]

    assert parsed(PAGE.format(more="true", token=token).encode()) == Page(
        entries,
        "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=",
    )
    assert parsed(PAGE.format(more="false", token=token).encode()) == Page(entries, "")
    assert parsed(
        PAGE.replace(' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', "").format(more="false", token="").encode()
    ) == Page(entries, "")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "not XML"),
        (PAGE.format(more="false", token="")[:-10], "not XML"),
        ("<Error><Code>SlowDown</Code></Error>", "a Error instead of a ListBucketResult"),
        (PAGE.format(more="true", token=""), "ListBucketResult without NextContinuationToken"),
        (PAGE.format(more="false", token="").replace("<Size>0</Size>", ""), "Contents without Size"),
        (PAGE.format(more="false", token="").replace("434234", "many"), "invalid literal"),
        (PAGE.format(more="false", token="").replace("IsTruncated", "Is"), "ListBucketResult without IsTruncated"),
        (PAGE.format(more="false", token="").replace("zero", "%ff"), "can't decode"),
        (
            "<!DOCTYPE a ["
            + "".join(f'<!ENTITY b{n + 1} "{f"&b{n};" * 50}">' for n in range(1, 9))
            + '<!ENTITY b1 "x">]>'
            "<ListBucketResult>&b9;</ListBucketResult>",
            "not XML",
        ),
    ],
)
def test_what_is_no_listing_is_refused(document: str, why: str) -> None:
    """Cut off, an error, incomplete, or made to grow: the reason is told, and nothing is taken for an empty page."""
    with pytest.raises(BadListing, match=why):
        parsed(document.encode())


def test_folders_that_differ_after_the_last_dash_share_a_start() -> None:
    """One alone is exact, and so are names without a dash."""
    assert starts_of(("eu-1-a", "eu-1-b", "us-1-c")) == ("eu-1-", "us-1-c/")
    assert starts_of(("plain", "other")) == ("plain/", "other/")
