"""The address of an S3 store: bucket, endpoints, region. Pure."""

from urllib.parse import parse_qs, urlsplit

import msgspec


class S3Address(msgspec.Struct, frozen=True):
    """The parts of `s3://bucket?endpoint=http://a:9000,http://b:9000&region=us-east-1`; no endpoint is AWS."""

    bucket: str
    endpoints: tuple[str, ...]
    region: str

    @property
    def servers(self) -> str:
        """The endpoints as text."""
        return ", ".join(self.endpoints) or "AWS"

    @classmethod
    def parse(cls, url: str) -> "S3Address":
        """Parse an address; ValueError when the bucket is missing or an option is unknown.

        The error has no part of the address, because someone may have written keys into it.
        """
        try:
            return cls._parsed(url)
        except ValueError:
            raise ValueError(
                "SNAPSURGE_STORE_URL: not a store address; write s3://bucket?endpoint=http://host:9000&region=us-east-1"
                ", with commas between several endpoints of one store, and without keys, which are in "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None

    @classmethod
    def _parsed(cls, url: str) -> "S3Address":
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        unknown = options.keys() - {"endpoint", "region"}
        endpoints = (
            tuple(one.strip().rstrip("/") for one in options["endpoint"].split(",")) if "endpoint" in options else ()
        )
        good = len(set(endpoints)) == len(endpoints) and all(map(_is_endpoint, endpoints))
        if parts.scheme != "s3" or not parts.netloc or "@" in url or parts.path.strip("/") or unknown or not good:
            raise ValueError
        return cls(parts.netloc, endpoints, options.get("region", "us-east-1"))


def _is_endpoint(url: str) -> bool:
    """Whether it is http:// or https:// with a host and perhaps a port; ValueError for a port that is none."""
    parts = urlsplit(url)
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and url == f"{parts.scheme}://{parts.netloc}"
        and (parts.port != 0)
    )
