"""A Sentinel in miniature: it names the primary that a test tells it, so that what real ones say for a moment can last.

It speaks as much RESP as redis-py needs for `SENTINEL MASTER`.
"""

import asyncio
from types import TracebackType
from typing import Self

from tests.ports import free_port


class FakeSentinel:
    """Listens on a loopback port. `epoch` counts failovers, `flags` are the primary's; a `mute` one does not answer."""

    def __init__(self, primary: int, *, epoch: int = 1, flags: str = "master") -> None:
        self.primary, self.epoch, self.flags = primary, epoch, flags
        self.replicas = 0
        self.mute = False
        self.asked = 0
        self.words: set[tuple[bytes, ...]] = set()
        self.port = free_port()
        self._sessions: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._sessions:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(writer)
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                await reader.readline()
                words.append((await reader.readline()).strip())
            self.words.add(tuple(words))
            if words[:2] != [b"SENTINEL", b"MASTER"]:
                writer.write(b"+PONG\r\n" if words == [b"PING"] else b"+OK\r\n")
                continue
            self.asked += 1
            if not self.mute:
                writer.write(self._state(words[2].decode()))
        writer.close()

    def _state(self, name: str) -> bytes:
        if name != "p":
            return b"-ERR No such master with that name\r\n"
        fields = ["name", name, "ip", "127.0.0.1", "port", str(self.primary), "flags", self.flags]
        fields += ["config-epoch", str(self.epoch), "num-slaves", str(self.replicas)]
        return b"*%d\r\n" % len(fields) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one.encode()) for one in fields)


def address(*sentinels: FakeSentinel, name: str = "p") -> str:
    """Of a group that these watch."""
    return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in sentinels)}/{name}/0"
