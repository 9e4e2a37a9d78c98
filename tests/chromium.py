"""A headless Chromium for tests that look at a page, driven over its DevTools protocol (a WebSocket with JSON).

Without Chromium on PATH a test that asks for one is skipped. What the page's console says is kept, because a browser
reports there what a Content Security Policy blocked.
"""

import asyncio
import base64
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 90
# Chromium must not look for its maker's servers, which no test machine can reach.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-allow-origins=*"),
)


class Tab:
    """One tab. Calls have the names of the protocol, such as `Page.navigate`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.console: list[str] = []

    async def listen(self) -> None:
        """Take answers and what the console says, until the tab is closed."""
        async for message in self._socket:
            found = message.json()
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            elif found["method"] == "Log.entryAdded":
                self.console.append(found["params"]["entry"]["text"])
            elif found["method"] == "Runtime.exceptionThrown":
                self.console.append(found["params"]["exceptionDetails"]["exception"].get("description", "exception"))

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """One call; its result."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(START_S):
            answer = await future
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        return (await self.call("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str, within_s: float = 60) -> None:
        """Wait until the expression is true."""
        async with asyncio.timeout(within_s):
            while not await self.value(expression):  # noqa: ASYNC110 - the page is another process's
                await asyncio.sleep(0.2)

    async def look(self, *, width: int, height: int, dark: bool) -> None:
        """Show the page in this size and scheme; a phone's width is exact, a window's is not."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path) -> None:
        """Save the whole page as PNG, also what is below the window."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """A tab of a new Chromium with its profile in `folder`."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(CHROMIUM), *OPTIONS, f"--remote-debugging-port={port}", f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            url = await _page(session, port)
            async with session.ws_connect(url, max_msg_size=0) as socket, asyncio.TaskGroup() as group:
                opened = Tab(socket)
                listener = group.create_task(opened.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await opened.call(f"{domain}.enable")
                yield opened
                listener.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _page(session: aiohttp.ClientSession, port: int) -> str:
    """The address of the first tab, as soon as the browser tells it."""
    async with asyncio.timeout(START_S):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [one for one in await answer.json() if one["type"] == "page"]
                if pages:
                    return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.2)
