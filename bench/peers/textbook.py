"""A typical first upload service: aiohttp, aioboto3, arq and Pillow, each used as its manual shows.

    python -m bench.peers.textbook PORT ENDPOINT BUCKET REDIS SECRET [OTHER BUCKETS]
    python -m bench.peers.textbook worker ENDPOINT BUCKET REDIS

The server checks the token, reads the form with `request.post()`, checks the first bytes of each photo, puts both
photos concurrently under separate keys, queues two jobs and answers 201. The worker is a stock arq worker: it gets both
photos, makes seven renditions with Pillow, and puts these and a record as eight objects. Nothing of it has a per-user
limit, a check of the image header, a digest, a receipt or an atomic pair. It does less than ours, so it is comparable
in cost only.
"""

import asyncio
import io
import json
import sys
from typing import Any, Final
from uuid import uuid4

import aioboto3
import arq
import jwt
import uvloop
from aiohttp import web
from arq.connections import RedisSettings
from PIL import Image

from . import renderers

BODY_BYTES_MAX: Final = 25 * 2**20
SIDES: Final = ("front", "back")
READY: Final = "textbook:ready"
INSET: Final = 4  # a picture is so many times as wide as the inset of its composite

Context = dict[Any, Any]


class Textbook:
    """The server's calls: the upload of a pair, and how many pairs are ready."""

    def __init__(self, s3: Any, bucket: str, queue: arq.ArqRedis, secret: str) -> None:  # noqa: ANN401 - no types
        self._s3, self._bucket, self._queue, self._secret = s3, bucket, queue, secret

    async def upload(self, request: web.Request) -> web.Response:
        """Store a pair; answers 201 when both photos are stored and both jobs queued."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            user = jwt.decode(token, self._secret, algorithms=["HS256"])["sub"]
        except (jwt.InvalidTokenError, KeyError):
            raise web.HTTPUnauthorized from None
        form = await request.post()
        photos: dict[str, bytes] = {}
        for side in SIDES:
            field = form.get(side)
            if not isinstance(field, web.FileField):
                raise web.HTTPBadRequest(text=f"{side} is missing")
            photos[side] = field.file.read()
            if not photos[side].startswith(b"\xff\xd8\xff"):
                raise web.HTTPUnsupportedMediaType
        post_id = uuid4().hex
        await asyncio.gather(*(self._put(f"{post_id}/{side}.jpg", data) for side, data in photos.items()))
        for job in ("flag_late", "render_pair"):
            await self._queue.enqueue_job(job, post_id)
        return web.json_response({"id": post_id, "user_id": user, "state": "accepted"}, status=201)

    async def ready(self, _: web.Request) -> web.Response:
        """How many pairs the workers have made ready."""
        return web.json_response({"ready": int(await self._queue.get(READY) or 0)})

    async def _put(self, key: str, data: bytes) -> None:
        await self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType="image/jpeg")


async def serve(port: int, endpoint: str, bucket: str, redis: str, secret: str, *others: str) -> None:
    """Create its own bucket and the others, then listen until killed."""
    queue = await arq.create_pool(RedisSettings.from_dsn(redis))
    async with aioboto3.Session().client("s3", endpoint_url=endpoint) as s3:
        for name in (bucket, *others):
            await s3.create_bucket(Bucket=name)
        app, made = web.Application(client_max_size=BODY_BYTES_MAX), Textbook(s3, bucket, queue, secret)
        app.add_routes([web.post("/upload", made.upload), web.get("/ready", made.ready)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


def renditions(front: bytes, back: bytes) -> dict[str, bytes]:
    """The seven pictures of a pair: three sizes of each photo, and the back one with the front one in its corner."""
    made = {
        f"{side}-{name}.jpg": data
        for side, photo in zip(SIDES, (front, back), strict=True)
        for name, data in renderers.pillow(photo).items()
    }
    picture, inset = (Image.open(io.BytesIO(made[f"{side}-feed.jpg"])) for side in ("back", "front"))
    inset.thumbnail((picture.width // INSET, picture.height), Image.Resampling.LANCZOS)
    picture.paste(inset, (picture.width // 40, picture.width // 40))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=renderers.QUALITY)
    return {**made, "composite.jpg": buffer.getvalue()}


async def render_pair(context: Context, post_id: str) -> None:
    """Get both photos, render them in a thread, put the renditions and the record, count the pair."""

    async def got(side: str) -> bytes:
        answer = await context["s3"].get_object(Bucket=context["bucket"], Key=f"{post_id}/{side}.jpg")
        data: bytes = await answer["Body"].read()
        return data

    front, back = await asyncio.gather(*(got(side) for side in SIDES))
    made = await asyncio.to_thread(renditions, front, back)
    made["post.json"] = json.dumps({"id": post_id, "state": "ready", "renditions": sorted(made)}).encode()
    puts = (
        context["s3"].put_object(Bucket=context["bucket"], Key=f"{post_id}/{name}", Body=data)
        for name, data in made.items()
    )
    await asyncio.gather(*puts)
    await context["redis"].incr(READY)


async def flag_late(context: Context, post_id: str) -> None:
    """Write the post's late flag into the index."""
    await context["redis"].hset("textbook:late", post_id, "0")


def work(endpoint: str, bucket: str, redis: str) -> None:
    """Run a stock arq worker until a signal."""

    async def startup(context: Context) -> None:
        context["client"] = aioboto3.Session().client("s3", endpoint_url=endpoint)
        context["s3"], context["bucket"] = await context["client"].__aenter__(), bucket

    async def shutdown(context: Context) -> None:
        await context["client"].__aexit__(None, None, None)

    arq.run_worker(
        {
            "functions": (render_pair, flag_late),
            "redis_settings": RedisSettings.from_dsn(redis),
            "on_startup": startup,
            "on_shutdown": shutdown,
        }
    )


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(*sys.argv[2:])
    else:
        uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:]))
