"""A proxy that breaks connections of a client program: in a body, or before the answer that completes its upload."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

PATIENCE_S = 60


class Breaker:
    """Ends one connection behind each of `cuts` bytes of a client, and one whose answer completes an upload.

    No byte is held back before: what a client sent up to a cut reaches the server, and its 104 the client.
    """

    def __init__(self, target: int, cuts: list[int], *, loses_answer: bool) -> None:
        self._target, self._cuts, self._loses_answer = target, cuts, loses_answer
        self._told = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent: list[bytearray] = []
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []

    @property
    def requests(self) -> list[str]:
        """The methods of the requests about uploads, in their order."""
        path = rb"(POST|HEAD|PATCH) /v1/(?:moments/\S+/posts|uploads/\S+) HTTP/1\.1\r\n"
        return [found.decode() for one in self.sent for found in re.findall(path, bytes(one))]

    @property
    def unused(self) -> int:
        """The breaks that did not happen."""
        return len(self._cuts) + self._loses_answer

    def start(self, work: Callable[..., None], *sides: socket.socket) -> None:
        """Work in a thread of its own."""
        self._threads.append(threading.Thread(target=work, args=sides, daemon=True))
        self._threads[-1].start()

    def serve(self) -> None:
        """Accept until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(server)
                for relay in (self._up, self._down):
                    self.start(relay, client, server)

    def close(self) -> None:
        """End all connections."""
        _end(self._listener)
        self._threads[0].join()
        _end(*self._sockets)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        sent = bytearray()
        self.sent.append(sent)
        with suppress(OSError):
            while data := client.recv(1 << 14):
                sent += data
                if self._cuts and len(sent) >= self._cuts[0]:
                    server.sendall(data[: len(data) - len(sent) + self._cuts.pop(0)])
                    self._told.wait(PATIENCE_S)
                    break
                server.sendall(data)
        _end(server, client)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self._loses_answer and b" 201 Created\r\n" in data and b"Upload-Complete: ?1" in data:
                    self._loses_answer = False
                    break
                client.sendall(data)
                if b" 104 " in data:
                    self._told.set()
        _end(server, client)


def _end(*sides: socket.socket) -> None:
    for side in sides:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def breaker(target: int, *cuts: int, loses_answer: bool = False) -> Iterator[Breaker]:
    """A proxy to that port of this machine."""
    made = Breaker(target, list(cuts), loses_answer=loses_answer)
    made.start(made.serve)
    try:
        yield made
    finally:
        made.close()
