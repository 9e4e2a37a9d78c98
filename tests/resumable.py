"""A scripted peer for resumable uploads: it speaks each version byte for byte over a raw socket, and breaks at will."""

import asyncio
from contextlib import suppress
from typing import Self

VERSIONS = ("3", "5", "6", "8")


class Answer:
    """One answer as it came: status, fields in lower case, body, and the interim answers before it."""

    def __init__(self, head: bytes, body: bytes, interim: list["Answer"]) -> None:
        line, _, fields = head.decode().partition("\r\n")
        self.line = line
        self.status = int(line.split()[1])
        self.fields = dict(one.split(": ", 1) for one in fields.lower().split("\r\n") if one)
        self.raw = head
        self.body = body
        self.interim = interim

    def __repr__(self) -> str:
        return f"<Answer {self.line} {self.fields} {self.body[:200]!r}>"

    @property
    def location(self) -> str:
        """Where the upload is, as it was told (a secret has capital letters)."""
        lines = self.raw.decode().split("\r\n")
        return next(line.split(": ")[1] for line in lines if line.lower().startswith("location: "))


class Connection:
    """One connection of a peer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)

    async def one(self, *, bodyless: bool = False) -> Answer:
        """The next answer, interim or final."""
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
        answer = Answer(head, b"", [])
        if answer.status >= 200 and answer.status != 204 and not bodyless:
            answer.body = await self.reader.readexactly(int(answer.fields.get("content-length", "0")))
        return answer

    async def answer(self, *, bodyless: bool = False) -> Answer:
        """The next final answer, with the interim ones before it."""
        interim = []
        while (found := await self.one(bodyless=bodyless)).status < 200:
            interim.append(found)
        found.interim = interim
        return found

    async def cut(self) -> None:
        """End the connection behind what was sent; return when the server has read all of it and has closed it too."""
        self.writer.write_eof()
        await self.reader.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


class Peer:
    """A client of one server that announces one version."""

    def __init__(self, port: int, bearer: str, version: str = "8", *, host: str = "127.0.0.1") -> None:
        self.host, self.port, self.bearer, self.version = host, port, bearer, version

    async def connect(self) -> Connection:
        """A new connection."""
        return Connection(*await asyncio.open_connection(self.host, self.port))

    def complete(self, *, whole: bool) -> str:
        """The field that says whether the content is the last of its upload."""
        if self.version == "3":
            return f"Upload-Incomplete: ?{not whole:d}"
        return f"Upload-Complete: ?{whole:d}"

    def head(self, method: str, path: str, *fields: str, length: int | None = None, bearer: str | None = None) -> bytes:
        """A request's head; `length` None: no field about a content."""
        lines = [f"{method} {path} HTTP/1.1", "Host: example.com", f"Authorization: Bearer {bearer or self.bearer}"]
        lines += [f"Upload-Draft-Interop-Version: {self.version}"] if self.version else []
        lines += [] if length is None else [f"Content-Length: {length}"]
        return "\r\n".join([*lines, *(field for field in fields if field), "", ""]).encode()

    def creation(self, moment: str, length: int | None, *fields: str, whole: bool = True) -> bytes:
        """The head that begins an upload with boundary `x`."""
        of_body = "Content-Type: multipart/form-data; boundary=x"
        path = f"/v1/moments/{moment}/posts"
        return self.head("POST", path, self.complete(whole=whole), of_body, *fields, length=length)

    def patch(self, location: str, offset: int, length: int | None, *fields: str, whole: bool = True) -> bytes:
        """The head that appends, as the examples of the version have it: the older ones say no completeness."""
        said = "" if whole and self.version != "8" else self.complete(whole=whole)
        of_body = "Content-Type: application/partial-upload" if self.version != "3" else ""
        return self.head("PATCH", location, f"Upload-Offset: {offset}", said, of_body, *fields, length=length)

    async def ask(self, head: bytes, content: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        async with await self.connect() as connection:
            connection.send(head + content)
            return await connection.answer(bodyless=head.startswith(b"HEAD"))

    async def offset(self, location: str) -> Answer:
        """The answer to HEAD."""
        return await self.ask(self.head("HEAD", location))

    async def broken(self, moment: str, body: bytes, at: int, *fields: str) -> str:
        """Begin an upload and break after `at` bytes of its body; returns its location."""
        async with await self.connect() as connection:
            connection.send(self.creation(moment, len(body), *fields) + body[:at])
            location = (await connection.one()).location
            await connection.cut()
        return location

    async def broken_patch(self, location: str, offset: int, body: bytes, at: int) -> None:
        """Append from `offset`, and break when the upload has `at` bytes."""
        async with await self.connect() as connection:
            connection.send(self.patch(location, offset, len(body) - offset) + body[offset:at])
            await connection.cut()
