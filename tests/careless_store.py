"""A stand-in for a store that ignores conditions: it takes every PUT."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.ports import free_port

LISTING = '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>'


@asynccontextmanager
async def careless_store() -> AsyncIterator[str]:
    """The address of a store that takes every PUT, whatever its condition."""
    objects: dict[str, tuple[bytes, str]] = {}
    tags = itertools.count()

    async def serve(request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if request.method == "PUT":
            objects[key] = await request.read(), f'"{next(tags)}"'
            return web.Response()
        if request.method == "DELETE":
            objects.pop(key, None)
            return web.Response(status=204)
        if not key:
            rows = "".join(
                f"<Contents><Key>{one}</Key><Size>{len(objects[one][0])}</Size></Contents>" for one in objects
            )
            return web.Response(text="" if request.method == "HEAD" else LISTING.format(rows))
        if key not in objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        body, tag = objects[key]
        return web.Response(body=body, headers={"ETag": tag})

    app = web.Application()
    app.router.add_route("*", "/bucket{slash:/?}{key:.*}", serve)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"s3://bucket?endpoint=http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
