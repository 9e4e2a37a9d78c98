"""The address of an S3 store: bucket, endpoints, region. Pure."""

from urllib.parse import parse_qs, urlsplit

import msgspec

_FORM = (
    "write s3://bucket?endpoint=http://host:9000&region=us-east-1, with commas between several endpoints of one store, "
    "and without keys, which are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)


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
        """Parse an address; ValueError when the bucket is missing, or an option is unknown, empty or repeated.

        The error has no part of the address, because someone may have written keys into it.
        """
        try:
            return cls._parsed(url)
        except _UnfitError as error:
            wrong = str(error)
        except ValueError:  # from urllib, with a part of the address in it
            wrong = "not a store address"
        raise ValueError(f"SNAPSURGE_STORE_URL: {wrong}; {_FORM}")

    @classmethod
    def _parsed(cls, url: str) -> "S3Address":
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        known = not options.keys() - {"endpoint", "region"}
        if parts.scheme != "s3" or not parts.netloc or "@" in url or parts.path.strip("/") or not known:
            raise ValueError
        for name, values in options.items():
            if len(values) > 1:
                raise _UnfitError(f"{name} is there twice; endpoints are separated by commas in one")
            if not values[0]:
                raise _UnfitError(f"{name} is empty; without it, it is AWS's own")
        endpoints = (
            tuple(one.strip().rstrip("/") for one in options["endpoint"][0].split(",")) if "endpoint" in options else ()
        )
        if not all(map(_good, endpoints)):
            raise ValueError
        servers = [_server(one) for one in endpoints]
        for number, server in enumerate(servers):
            if (first := servers.index(server)) < number:
                raise _UnfitError(f"endpoints {first + 1} and {number + 1} are the same one")
        return cls(parts.netloc, endpoints, options.get("region", ["us-east-1"])[0])


class _UnfitError(ValueError):
    """What is wrong with an address, in words of ours."""


def _good(url: str) -> bool:
    """Whether it is http:// or https:// with a host and perhaps a port; ValueError for a port that is none."""
    parts = urlsplit(url)
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and url == f"{parts.scheme}://{parts.netloc}"
        and (parts.port != 0)
    )


def _server(url: str) -> tuple[str, str | None, int]:
    """What two spellings of one endpoint have in common: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
