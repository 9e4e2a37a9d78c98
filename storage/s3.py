"""Objects in MinIO or any S3: `create` is a PUT with `If-None-Match: *`, which the store decides atomically.

Operations note. Rights needed: GetObject, PutObject, DeleteObject, ListBucket (CreateBucket only where the bucket is
missing). Keys come from the usual AWS_… variables. Checksums are `when_required`: since botocore 1.36 the default
sends trailers that many S3 servers refuse; the SigV4 body hash protects every PUT of botocore end to end, a signed
CRC-32 those of `create`, which goes its own, cheaper way (`puts.py`).

The ambiguous PUT: a PUT whose connection broke is repeated, and when the first had been committed the repeat
meets 412. The caller learns BlobExists and reads the receipt, so that a commit is never mistaken for a loss.
No other file knows botocore, but for the form of its credentials.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import aioboto3
import aiohttp
import msgspec
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from .blobs import BlobExists, BlobMissing, Buffer, StoreFull, StoreUnavailable
from .puts import Puts

# Not ConditionalRequestConflict: S3 answers it when a delete came between, and asks for a repeat.
_EXISTS = {"PreconditionFailed", "BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
_MISSING = {"NoSuchKey", "404", "NotFound", "InvalidRange"}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "507"}


class S3Address(msgspec.Struct, frozen=True):
    """`s3://bucket?endpoint=http://127.0.0.1:9000&region=us-east-1`, taken apart."""

    bucket: str
    endpoint: str | None
    region: str

    @classmethod
    def parse(cls, url: str) -> "S3Address":
        """ValueError when the bucket is missing or an option is unknown."""
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        unknown = options.keys() - {"endpoint", "region"}
        reachable = options.get("endpoint", "http://").startswith(("http://", "https://"))
        if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/") or unknown or not reachable:
            raise ValueError(
                f"not a store address: {url!r}; write s3://bucket?endpoint=http://host:9000&region=us-east-1"
            )
        return cls(parts.netloc, options.get("endpoint"), options.get("region", "us-east-1"))


class S3Store:
    """A bucket as an object store; see `blobs.BlobStore` for the promises."""

    def __init__(
        self,
        address: S3Address,
        *,
        connections_max: int = 128,
        connect_timeout_s: float = 2.0,
        read_timeout_s: float = 10.0,
        attempts_max: int = 3,
    ) -> None:
        self.address = address
        self._bucket = address.bucket
        self._attempts_max = attempts_max
        self._config = AioConfig(
            max_pool_connections=connections_max,
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            retries={"total_max_attempts": attempts_max, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            tcp_keepalive=True,
        )
        self._client: Any = None
        self._opened: AsyncExitStack
        self._puts: Puts

    def __repr__(self) -> str:
        return f"<S3Store {self.address.bucket} at {self.address.endpoint or 'AWS'}>"

    async def create(self, key: str, *parts: Buffer) -> None:
        with _translated():
            answer = await self._puts.create(key, parts, self._attempts_max)
        if answer.status != 200:
            raise _error_of(answer.code)(answer.text)

    async def replace(self, key: str, body: bytes) -> None:
        await self._call(self._client.put_object(Bucket=self._bucket, Key=key, Body=body))

    async def read(self, key: str) -> bytes:
        return await self._get(key)

    async def read_range(self, key: str, offset: int, length: int) -> bytes:
        return await self._get(key, Range=f"bytes={offset}-{offset + length - 1}")

    async def read_tail(self, key: str, length: int) -> bytes:
        return await self._get(key, Range=f"bytes=-{length}")

    async def exists(self, key: str) -> bool:
        try:
            await self._call(self._client.head_object(Bucket=self._bucket, Key=key))
        except BlobMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        await self._call(self._client.delete_object(Bucket=self._bucket, Key=key))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        start = {"StartAfter": after} if after else {}
        while True:
            page = await self._call(self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **start))
            for item in page.get("Contents", []):
                yield item["Key"]
            if not page.get("IsTruncated"):
                return
            start = {"ContinuationToken": page["NextContinuationToken"]}

    async def probe(self) -> None:
        try:
            await self._call(self._client.head_bucket(Bucket=self._bucket))
        except BlobMissing as error:
            raise StoreUnavailable(f"there is no bucket {self._bucket}") from error

    async def __aenter__(self) -> Self:
        session = aioboto3.Session()
        async with AsyncExitStack() as opened:
            client = session.client(
                "s3", region_name=self.address.region, endpoint_url=self.address.endpoint, config=self._config
            )
            self._client = await opened.enter_async_context(client)
            await self._make_bucket()
            self._puts = Puts(
                self._client.meta.endpoint_url,
                self._bucket,
                self.address.region,
                await session.get_credentials(),
                connections_max=self._config.max_pool_connections,
                connect_timeout_s=self._config.connect_timeout,
                read_timeout_s=self._config.read_timeout,
                ca_file=session._session.get_config_variable("ca_bundle") or "",  # noqa: SLF001 - as botocore itself
            )
            opened.callback(self._puts.close)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    async def _make_bucket(self) -> None:
        try:
            await self._call(self._client.head_bucket(Bucket=self._bucket))
        except BlobMissing:
            place = {"LocationConstraint": self.address.region}
            # us-east-1 is the one region that S3 does not take as a constraint.
            options = {} if self.address.region == "us-east-1" else {"CreateBucketConfiguration": place}
            with suppress(BlobExists):  # another node was faster
                await self._call(self._client.create_bucket(Bucket=self._bucket, **options))

    async def _get(self, key: str, **options: str) -> bytes:
        with _translated():
            answer = await self._client.get_object(Bucket=self._bucket, Key=key, **options)
            async with answer["Body"] as stream:
                body: bytes = await stream.read()
                return body

    async def _call(self, request: Awaitable[Any]) -> Any:  # noqa: ANN401 - botocore's answers have no types
        with _translated():
            return await request


def _error_of(code: str) -> type[Exception]:
    """The port's error for a code of S3."""
    if code in _EXISTS:
        return BlobExists
    if code in _MISSING:
        return BlobMissing
    return StoreFull if code in _FULL else StoreUnavailable


@contextmanager
def _translated() -> Iterator[None]:
    """Botocore's errors as the port's: the one place that reads their codes."""
    try:
        yield
    except ClientError as error:
        raise _error_of(str(error.response.get("Error", {}).get("Code", "")))(str(error)) from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
