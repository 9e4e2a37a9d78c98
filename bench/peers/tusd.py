"""tusd 2.8 with its S3 store, configured by its manual.

tusd has no token and no per-user limit and checks no photo, so it is comparable in cost only.
"""

from typing import Final

import aioboto3

from . import backing, go

VERSION: Final = "v2.8.0"
MODULE: Final = "github.com/tus/tusd/v2"
BUCKET: Final = "tusd"


def program() -> str:
    """The path of tusd, which is built if missing; StartError when the build fails."""
    return go.built("tusd", MODULE, VERSION, f"{MODULE}/cmd/tusd")


def command(port: int, endpoint: str) -> list[str]:
    """The command that starts tusd. Hashes stay on, as by default; progress and requests are not logged."""
    store = ["-s3-bucket", BUCKET, "-s3-endpoint", endpoint]
    place = ["-host", "127.0.0.1", "-port", str(port), "-base-path", "/files/"]
    return ["env", *backing.credentials(), program(), *place, *store, "-verbose=false", "-show-greeting=false"]


async def make_bucket(endpoint: str) -> None:
    """Make the bucket, which tusd does not."""
    keys = {"aws_access_key_id": backing.USER, "aws_secret_access_key": backing.PASSWORD}
    session = aioboto3.Session(region_name=backing.REGION, **keys)
    async with session.client("s3", endpoint_url=endpoint) as s3:
        await s3.create_bucket(Bucket=BUCKET)


def head(key: str, length: int) -> bytes:
    """The head of a request that creates and uploads one photo (tus 1.0.0): the fewest requests the protocol allows."""
    return (
        f"POST /files/ HTTP/1.1\r\nHost: lb.example\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {length}\r\n"
        f"Upload-Metadata: name {key}\r\nContent-Type: application/offset+octet-stream\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()
