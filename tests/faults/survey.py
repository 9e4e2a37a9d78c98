"""Reads the whole state of a moment after the faults: every intake object with all bytes, every record and rendition.

It reads the store directly, without a proxy, and the API as operators do. It does not judge.
"""

import asyncio
import hashlib
import io
import time
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping

import aiohttp
import msgspec
from PIL import Image

from deploy.tokens import token
from storage import intake, keys, media
from storage.blobs import BlobMissing, BlobStore
from storage.records import Post, to_ms
from storage.zips import Damaged
from tests.faults.phones import SECRET
from tests.faults.sightings import Seen, Shown, Stored

LIST_S = 30.0
PICTURE_S = 5.0
TOMBSTONE_BYTES = 512  # every pair with its receipt is larger


class Page(msgspec.Struct):
    """A page of posts that the API lists."""

    posts: list[dict[str, object]]
    next: str | None


class ApiPhoto(msgspec.Struct):
    """A photo as the API returns it."""

    sha256: str | None = None


class ApiPost(msgspec.Struct):
    """A post as the API returns it."""

    id: str
    user_id: str
    received_at: str
    state: str
    photos: dict[str, ApiPhoto | None]
    links: dict[str, str]
    late: bool | None = None
    late_by_ms: int | None = None


async def stored(store: BlobStore, moment: str) -> list[Stored]:
    """Every intake object of the moment under any key, except tombstones, which replace deleted pairs."""
    listed = [entry.key async for entry in store.list("") if f"/intake/{moment}/" in entry.key]
    archives = [(key, await store.read(key)) for key in listed]
    return [_stored(key, archive) for key, archive in archives if not is_tombstone(archive)]


def is_tombstone(archive: bytes) -> bool:
    """Whether the archive is small and marked as the replacement of a deleted pair."""
    if len(archive) >= TOMBSTONE_BYTES:
        return False
    try:
        return zipfile.ZipFile(io.BytesIO(archive)).namelist() == ["tombstone.json"]
    except zipfile.BadZipFile:
        return False


async def seen(
    session: aiohttp.ClientSession, nodes: Mapping[str, str], store: BlobStore, moment: str, users: Iterable[str]
) -> list[Seen]:
    """The posts of these users as each single node shows them, and as their media objects in the store show them."""
    found: list[Seen] = []
    for user in users:
        post_id = keys.post_id(moment, user)
        found += [await _seen_at(session, name, url, user, post_id) for name, url in nodes.items()]
        if await _holds(store, keys.media(moment, post_id)) and not await _holds(store, keys.intake(moment, post_id)):
            found.append(Seen(user=user, where="the store", status=200))
    return found


async def _holds(store: BlobStore, key: str) -> bool:
    """Whether the store has an object under this key that is not a tombstone."""
    try:
        return not is_tombstone(await store.read(key))
    except BlobMissing:
        return False


async def _seen_at(session: aiohttp.ClientSession, name: str, url: str, user: str, post_id: str) -> Seen:
    status, said = await _answer(session, f"{url}/v1/posts/{post_id}")
    picture, _ = await _answer(session, f"{url}/v1/posts/{post_id}/photos/front/thumb")
    photos = msgspec.json.decode(said, type=ApiPost).photos if status == 200 else {}
    front, back = (photo.sha256 if photo and photo.sha256 else "" for photo in map(photos.get, ("front", "back")))
    return Seen(user=user, where=f"node {name}", status=status, picture=picture, front=front, back=back)


def _stored(key: str, archive: bytes) -> Stored:
    digest = hashlib.sha256(archive).hexdigest()
    try:
        pair = intake.unpack(archive)
    except Damaged as error:
        return Stored(key=key, user=key, front=digest, back=digest, received_at=0, broken=str(error))
    receipt = pair.receipt
    front, back = (hashlib.sha256(photo).hexdigest() for photo in (pair.front, pair.back))
    fits = (front, back) == (receipt.photos.front.sha256, receipt.photos.back.sha256)
    ours = key == keys.intake(receipt.moment_id, receipt.id) == keys.intake(receipt.moment_id, keys.name_in(key))
    return Stored(
        key=key,
        user=receipt.user_id,
        front=front,
        back=back,
        received_at=to_ms(receipt.received_at),
        broken="" if fits and ours else "the receipt is of other photos or of another key",
    )


async def shown(session: aiohttp.ClientSession, door: str, store: BlobStore, moment: str) -> list[Shown]:
    """Every post that the API lists; the renditions of ready posts are checked."""
    found: list[Shown] = []
    async for post in _listed(session, door, moment):
        front, back = post.photos.get("front"), post.photos.get("back")
        found.append(
            Shown(
                id=post.id,
                user=post.user_id,
                front=front.sha256 if front else None,
                back=back.sha256 if back else None,
                received_at=to_ms(post.received_at),
                state=post.state,
                late=post.late,
                late_by=post.late_by_ms,
                wrong=await _wrong(session, door, store, moment, post) if post.state == "ready" else "",
            )
        )
    return found


async def counts(session: aiohttp.ClientSession, door: str, moment: str) -> dict[str, int]:
    """The moment's counts as operators see them."""
    return msgspec.json.decode(await _get(session, f"{door}/v1/moments/{moment}/summary"), type=dict[str, int])


async def _listed(session: aiohttp.ClientSession, door: str, moment: str) -> AsyncIterator[ApiPost]:
    cursor: str | None = ""
    while cursor is not None:
        url = f"{door}/v1/moments/{moment}/posts?limit=500" + (f"&cursor={cursor}" if cursor else "")
        page = msgspec.json.decode(await _get(session, url), type=Page)
        for post in page.posts:
            yield msgspec.convert(post, ApiPost)
        cursor = page.next


async def _get(session: aiohttp.ClientSession, url: str, within_s: float = LIST_S) -> bytes:
    """The body of a 200; retried for `within_s`, because a killed process may still be restarting."""
    async with asyncio.timeout(within_s):
        while True:
            status, body = await _answer(session, url)
            if status == 200:
                return body
            if 400 <= status < 500:
                raise AssertionError(f"GET {url}: {status} {body[:200]!r}")
            await asyncio.sleep(0.2)


async def _answer(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Status and body of a GET with an ops token; status 0 without an answer."""
    bearer = token(SECRET, "faults-ops", "ops", now=time.time(), ttl_s=3600)
    try:
        async with session.get(url, headers={"Authorization": f"Bearer {bearer}"}) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, OSError) as error:
        return 0, repr(error).encode()


async def _wrong(session: aiohttp.ClientSession, door: str, store: BlobStore, moment: str, post: ApiPost) -> str:
    """What is wrong with the media object of a ready post, or empty; fetches one rendition as a phone does."""
    try:
        archive = await store.read(keys.media(moment, post.id))
        record: Post = media.record_in(archive)
    except (BlobMissing, Damaged) as error:
        return f"ready, but its media object is {error!r}"
    if len(record.renditions) != len(post.links) - 2:  # two links are not renditions: the post itself and its moment
        return f"the record has {sorted(record.renditions)}, the API {sorted(post.links)}"
    for name, place in record.renditions.items():
        data = archive[place.offset : place.offset + place.bytes]
        if hashlib.sha256(data).hexdigest() != place.sha256:
            return f"{name} has other bytes than its record says"
    name = sorted(record.renditions)[int(post.id[0], 36) % len(record.renditions)]
    place = record.renditions[name]
    try:
        data = await _get(session, door + post.links[name], PICTURE_S)
    except (TimeoutError, AssertionError) as error:
        return f"{name} is not served: {error!r}"
    if hashlib.sha256(data).hexdigest() != place.sha256:
        return f"{name} is served with other bytes than it has"
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return ""
