"""A typical first upload server: aiohttp, aioboto3 and arq, each used as its manual shows.

    python -m bench.peers.textbook PORT ENDPOINT BUCKET REDIS SECRET [OTHER BUCKETS]

It checks the token, reads the form with `request.post()`, checks the first bytes of each photo, puts both photos
concurrently under separate keys, queues two jobs and answers 201. It has no per-user limit, no check of the image
header, no digest, no receipt and no atomic pair. It does less than a node, so it is comparable in cost only.
"""

import asyncio
import sys
from typing import Any
from uuid import uuid4

import aioboto3
import arq
import jwt
import uvloop
from aiohttp import web
from arq.connections import RedisSettings

BODY_BYTES_MAX = 25 * 2**20
SIDES = ("front", "back")


class Textbook:
    """The server's only call: the upload of a pair."""

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

    async def _put(self, key: str, data: bytes) -> None:
        await self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType="image/jpeg")


async def serve(port: int, endpoint: str, bucket: str, redis: str, secret: str, *others: str) -> None:
    """Create its own bucket and the others, then listen until killed."""
    queue = await arq.create_pool(RedisSettings.from_dsn(redis))
    async with aioboto3.Session().client("s3", endpoint_url=endpoint) as s3:
        for name in (bucket, *others):
            await s3.create_bucket(Bucket=name)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/upload", Textbook(s3, bucket, queue, secret).upload)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:]))
