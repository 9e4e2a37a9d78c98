"""Addresses of S3 stores: what is read from them, and which are refused."""

import pytest

from storage.s3.address import S3Address
from storage.s3.store import S3Store


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://b", S3Address("b", (), "us-east-1")),
        ("s3://b/", S3Address("b", (), "us-east-1")),
        ("s3://b?region=eu-west-1", S3Address("b", (), "eu-west-1")),
        (
            "s3://b?endpoint=http://a:9000,http://b:9000/,https://[::1]&region=r",
            S3Address("b", ("http://a:9000", "http://b:9000", "https://[::1]"), "r"),
        ),
        ("s3://b?endpoint=https://minio:9000", S3Address("b", ("https://minio:9000",), "us-east-1")),
    ],
)
def test_addresses_are_taken_apart(url: str, expected: S3Address) -> None:
    """No endpoint is AWS itself; the region has a default."""
    assert S3Address.parse(url) == expected
    assert repr(S3Store(expected)) == f"<S3Store b at {', '.join(expected.endpoints) or 'AWS'}>"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///b",
        "s3://?region=x",
        "http://b",
        "s3://b/prefix",
        "s3://b?secret=1",
        "s3://b?endpoint",
        "s3://b?endpoint=127.0.0.1:9000",
        "s3://b?endpoint=http://a,",
        "s3://b?endpoint=http://a/path",
        "s3://b?endpoint=http://a:99999",
        "s3://b?endpoint=http://",
    ],
)
def test_a_bad_address_is_refused(url: str) -> None:
    """No bucket, a path, an option nobody knows; an endpoint without scheme or host, empty, twice, with a path."""
    with pytest.raises(ValueError, match=r".+"):
        S3Address.parse(url)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("endpoint=http://a,http://a", "endpoints 1 and 2 are the same"),
        ("endpoint=http://b,http://a:80/,http://A", "endpoints 2 and 3 are the same"),
        ("endpoint=https://a:443,https://a", "endpoints 1 and 2 are the same"),
        ("endpoint=http://a&endpoint=http://b", "endpoint is there twice; endpoints are separated by commas"),
        ("region=a&region=a", "region is there twice"),
        ("endpoint=", "endpoint is empty; without it, it is AWS"),
        ("endpoint=&region=x", "endpoint is empty"),
        ("region=", "region is empty"),
    ],
)
def test_what_is_given_twice_or_empty_is_named(query: str, said: str) -> None:
    """Not what a good address looks like, because it looks like one."""
    with pytest.raises(ValueError, match=said):
        S3Address.parse(f"s3://bucket?{query}")


def test_the_same_host_with_two_ports_or_schemes_is_two_endpoints() -> None:
    """As servers on one machine are."""
    assert len(S3Address.parse("s3://b?endpoint=http://a:1,http://a:2,https://a:2").endpoints) == 3
