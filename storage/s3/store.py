"""Objects in MinIO or any S3: `create` is a PUT with `If-None-Match: *`, `swap` one with `If-Match`; the store decides.

Permissions needed: GetObject, PutObject, DeleteObject, ListBucket (CreateBucket only if the bucket is missing,
DeleteObjectVersion and ListBucketVersions only if it keeps versions, PutBucketVersioning if it must and does not yet).
`credentials.py` finds the keys. Each PUT carries a signed CRC-32, so that the store keeps no damaged body.

The ambiguous PUT: a PUT whose connection broke is repeated, and if the first one was committed, the repeat gets 412.
The caller gets BlobExists or BlobChanged and reads the stored object, so that a commit is never taken for a failure.

A mark is the entity tag, followed by a space and the version if there is one. `delete` is unconditional, because not
every store obeys conditions on DELETE.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from .. import config, suitability
from ..blobs import (
    Blob,
    BlobChanged,
    BlobExists,
    BlobMissing,
    Buffer,
    Entry,
    QuorumLost,
    StoreUnavailable,
)
from . import bucket, credentials, listing, remedies
from .address import S3Address
from .answer import Answer
from .listing import LARGE_S, MERGED_MAX, starts_of, within
from .objects import Objects
from .outcomes import Away, NoBucket, Outcomes

log = logging.getLogger("snapsurge.storage.s3")

# The version of objects that were written before versioning was enabled; S3 may leave it out of the answer.
_UNVERSIONED = "null"
# Tries of each step of a start, with a pause between them: a store that stays silent ends the start after a minute.
STARTS_MAX = 3
PAUSE_S = 2.0
_BUCKET = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</CreateBucketConfiguration>'


class S3Store:
    """A bucket as an object store; `blobs.BlobStore` documents the methods.

    `examines`: opening it also tests that the store keeps the port's promises, which takes about twenty requests.
    """

    def __init__(
        self,
        address: S3Address,
        *,
        connections_max: int = 128,
        connect_timeout_s: float = 2.0,
        read_timeout_s: float = 10.0,
        attempts_max: int = 3,
        examines: bool = False,
    ) -> None:
        self.address = address
        self._bucket = address.bucket
        self._connections_max = connections_max
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._attempts_max = attempts_max
        self._examines = examines
        self._opened = AsyncExitStack()
        self._large_until = 0.0
        self._objects: Objects
        self._outcomes = Outcomes(f"{address.bucket} at {address.servers}")

    def __repr__(self) -> str:
        return f"<S3Store {self.address.bucket} at {self.address.servers}>"

    async def create(self, key: str, *parts: Buffer) -> None:
        await self._outcomes.done(f"PUT {key}", self._objects.put(key, parts, {"if-none-match": "*"}), BlobExists)

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        etag, _, version = mark.partition(" ")
        try:
            call = self._objects.put(key, parts, {"if-match": etag})
            made = await self._outcomes.done(f"PUT {key}", call, BlobExists, BlobMissing)
        except (BlobExists, BlobMissing) as error:  # 412, or S3's 404 if there is no object to compare
            raise BlobChanged(key) from error
        version = version or _UNVERSIONED
        if version != (made.version or _UNVERSIONED):
            await self._remove_version(key, version)

    async def read(self, key: str) -> bytes:
        return (await self._get(key, {})).body

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        fields = {"range": f"bytes={offset}-{offset + length - 1}"}
        if mark:
            fields["if-match"] = mark.partition(" ")[0]
        try:
            body = (await self._get(key, fields, BlobExists)).body
        except BlobExists as error:  # 412
            raise BlobChanged(key) from error
        if len(body) < length:
            raise BlobMissing(f"{key} ends before byte {offset + length}")
        return body

    async def read_tail(self, key: str, length: int) -> Blob:
        answer = await self._get(key, {"range": f"bytes=-{length}"})
        return Blob(answer.body, f"{answer.etag} {answer.version}".rstrip())

    async def delete(self, key: str) -> None:
        try:
            answer = await self._outcomes.done(f"DELETE {key}", self._objects.call("DELETE", key), BlobMissing)
        except BlobMissing:  # some stores say so
            return
        if answer.version:  # the bucket keeps versions, and now has a marker as well
            for version in await self._versions(key):
                await self._remove_version(key, version)

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        token = ""
        while True:
            page = await self._page(listing.query(prefix, after, token))
            for entry in page.entries:
                yield entry
            token = page.token
            if not token:
                return

    async def list_in(self, prefix: str, parents: Sequence[str], folders: Collection[str]) -> AsyncIterator[Entry]:
        if not folders:
            return
        starts = [f"{prefix}{parent}/{start}" for parent in parents for start in starts_of(tuple(folders))]
        if len(starts) > 1 and time.monotonic() >= self._large_until:
            query = listing.query(prefix, f"{prefix}{parents[0]}/{min(folders)}", most=MERGED_MAX)
            page = await self._page(query)
            if not page.token:
                for entry in within(page.entries, prefix, parents, folders):
                    yield entry
                return
            self._large_until = time.monotonic() + LARGE_S
        for start in starts:
            async for entry in self.list(start):
                if within([entry], prefix, parents, folders):
                    yield entry

    async def _page(self, query: dict[str, str]) -> listing.Page:
        """A page of a listing."""
        what = f"GET {self._bucket} {query.get('prefix', '')}"
        answer = await self._outcomes.done(what, self._objects.call("GET", "", query=query))
        try:
            return listing.parsed(answer.body)
        except listing.BadListing as error:
            raise StoreUnavailable(f"{what}: the listing cannot be read: {error}") from error

    async def probe(self) -> None:
        try:
            await self._bucket_seen()
        except NoBucket as error:
            raise StoreUnavailable(f"there is no bucket {self._bucket}") from error

    async def __aenter__(self) -> Self:
        keys, ca_file = await credentials.found(config.aws())
        try:
            self._objects = Objects(
                self.address.endpoints or (f"https://s3.{self.address.region}.amazonaws.com",),
                self._bucket,
                self.address.region,
                keys,
                connections_max=self._connections_max,
                connect_timeout_s=self._connect_timeout_s,
                read_timeout_s=self._read_timeout_s,
                attempts_max=self._attempts_max,
                ca_file=ca_file,
            )
        except OSError as error:
            raise StoreUnavailable(f"the CA file {ca_file} in AWS_CA_BUNDLE cannot be used: {error}") from error
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self._objects)
            await self._again_if_away(self._make_bucket)
            await self._objects.endpoints.begin(alone=self._examines)
            if self._examines:
                await self._again_if_away(self._examine)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    async def _again_if_away(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step of a start: a program that serves does not end because one request was lost."""
        for left in reversed(range(STARTS_MAX if self._examines else 1)):
            try:
                await step()
            except (Away, OSError) as error:
                if not left:
                    raise
                log.warning("store %s is down at startup: %s; retries left: %d", self.address.servers, error, left)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def _make_bucket(self) -> None:
        try:
            await self._bucket_seen()
        except NoBucket:
            log.warning("bucket %s does not exist: creating it", self._bucket)
            location = f"<LocationConstraint>{self.address.region}</LocationConstraint>"
            # S3 accepts every region as a constraint except us-east-1.
            wanted = b"" if self.address.region == "us-east-1" else _BUCKET.format(location).encode()
            with suppress(BlobExists):  # another node was faster
                await self._outcomes.done(f"PUT {self._bucket}", self._objects.put("", (wanted,), {}), BlobExists)

    async def _bucket_seen(self) -> None:
        """Return if there is a bucket; NoBucket."""

        async def seen() -> Answer:
            answer = await self._objects.call("HEAD", "")
            if answer.status in {301, 307, 400, 401, 403}:  # a refused HEAD has no text: ask for the reason
                return await self._objects.call("GET", "", query=listing.query("", most=1))
            return answer

        await self._outcomes.done(f"HEAD {self._bucket}", seen(), NoBucket)

    async def _examine(self) -> None:
        """Refuse a store that breaks the port's promises, and a bucket that loses posts; StoreUnsuitable."""
        for warning in await self._warnings():
            if warning in bucket.KEEPS_NONE:
                await self._keep_versions(warning)
            else:
                log.warning("bucket %s: %s", self._bucket, warning)
        try:
            await suitability.check(self, max(suitability.RACERS, 2 * len(self._objects.endpoints.all)))
        except QuorumLost as error:  # nodes that start now must still serve reads
            log.warning("store %s was not tested, because it cannot write now: %s", self.address.servers, error)
            self._objects.endpoints.untested()

    async def _warnings(self) -> Sequence[str]:
        """What a person should know of the bucket's settings; StoreUnsuitable if they lose posts."""
        found = {name: await self._objects.call("GET", "", query={name: ""}) for name in bucket.SETTINGS}
        documents = {name: one.body for name, one in found.items() if one.went_well}
        return [*bucket.warnings(documents, several=self._objects.endpoints.several)]

    async def _keep_versions(self, warning: str) -> None:
        """Let the bucket keep versions, which a store of several members must (`bucket.py`)."""
        try:
            answer = await self._objects.put("", (bucket.KEEP_VERSIONS,), {}, {"versioning": ""})
            why = "" if answer.went_well else remedies.said(answer.status, answer.code)
        except OSError as error:
            why = f"{type(error).__name__}: {error}"
        if why:
            log.error(
                "bucket %s: %s; enabling versioning failed (%s), continuing without it: let an administrator enable "
                "it, or grant PutBucketVersioning to the keys and restart",
                self._bucket,
                warning,
                why,
            )
        else:
            log.warning(
                "bucket %s keeps versions from now on, so that a change that is interrupted between the members of the "
                "store loses no post; replaced and deleted versions are removed at once",
                self._bucket,
            )

    async def _versions(self, key: str) -> Sequence[str]:
        """The versions of an object, markers included; empty, with a log line, where that may not be asked."""
        try:
            answer = await self._outcomes.done(
                f"GET versions of {key}", self._objects.call("GET", "", query={"prefix": key, "versions": ""})
            )
            return [one.id for one in listing.versions(answer.body, key)]
        except (StoreUnavailable, listing.BadListing) as error:
            log.error(  # noqa: TRY400 - where it was called says nothing
                "the bucket keeps versions of %s, which was deleted; remove them by hand (%s)", key, error
            )
            return []

    async def _remove_version(self, key: str, version: str) -> None:
        """Remove the replaced version, so that nobody can read it, if the bucket's policy allows that."""
        try:
            await self._outcomes.done(
                f"DELETE {key} {version}", self._objects.call("DELETE", key, query={"versionId": version})
            )
        except StoreUnavailable as error:
            log.error(  # noqa: TRY400 - where it was called says nothing
                "could not remove version %s of %s, which was deleted or replaced; users with the right to read "
                "versions can still read it. Remove it by hand (%s)",
                version,
                key,
                error,
            )

    async def _get(self, key: str, fields: Mapping[str, str], *expected: type[Exception]) -> Answer:
        return await self._outcomes.done(f"GET {key}", self._objects.call("GET", key, fields), BlobMissing, *expected)
