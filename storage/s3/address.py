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
        """Parse an address; ValueError when the bucket is missing, or an option is unknown, empty or repeated."""
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        for name, values in options.items():
            if len(values) > 1:
                raise ValueError(f"the store address {url!r} has {name} twice; separate endpoints by commas, in one")
            if not values[0]:
                raise ValueError(f"the store address {url!r} has an empty {name}; leave {name} out for AWS's own")
        unknown = options.keys() - {"endpoint", "region"}
        given = options["endpoint"][0].split(",") if "endpoint" in options else []
        endpoints = tuple(one.strip().rstrip("/") for one in given)
        if (
            parts.scheme != "s3"
            or not parts.netloc
            or parts.path.strip("/")
            or unknown
            or not all(map(_good, endpoints))
        ):
            raise ValueError(
                f"not a store address: {url!r}; write s3://bucket?endpoint=http://host:9000&region=us-east-1, "
                "with commas between several endpoints of one store"
            )
        places = [_place(one) for one in endpoints]
        if twice := next((one for one, place in zip(endpoints, places, strict=True) if places.count(place) > 1), ""):
            raise ValueError(f"the store address {url!r} names the endpoint {twice} twice; name each once")
        return cls(parts.netloc, endpoints, options.get("region", ["us-east-1"])[0])


def _good(url: str) -> bool:
    """Whether it is http:// or https:// with a host and perhaps a port; ValueError for a port that is none."""
    parts = urlsplit(url)
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and url == f"{parts.scheme}://{parts.netloc}"
        and (parts.port != 0)
    )


def _place(url: str) -> tuple[str, str | None, int]:
    """What two spellings of one endpoint have in common: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
