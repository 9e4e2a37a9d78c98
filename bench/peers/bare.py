"""The lower bound of an upload server in Python: only the calls that receive, hash and send on a pair.

    python -m bench.peers.bare PORT ENDPOINT BUCKET

One thread for each connection receives the body into one buffer, computes SHA-256 and CRC-32 of the whole body, and
sends it to the store over its own connection, with a URL that was signed in advance. The server does not parse the
multipart body, does not check token, limits or photos, stores no receipt and does not use Redis.
"""

import hashlib
import re
import socket
import sys
import threading
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from isal import isal_zlib

from . import backing

BODY_BYTES_MAX: Final = 25 * 2**20
URL_S: Final = 3600
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class Bare:
    """The server over one bucket; each connection overwrites one object of its own in it."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        keys = {"aws_access_key_id": backing.USER, "aws_secret_access_key": backing.PASSWORD}
        place = {"endpoint_url": endpoint, "region_name": backing.REGION}
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        self._client: Any = boto3.client("s3", config=config, **keys, **place)
        self._bucket = bucket

    def serve(self, phone: socket.socket, name: str) -> None:
        """Serve the requests of one phone until it closes the connection."""
        target = {"Bucket": self._bucket, "Key": f"bare/{name}"}
        url = urlsplit(self._client.generate_presigned_url("put_object", target, ExpiresIn=URL_S))
        line = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        room = memoryview(bytearray(BODY_BYTES_MAX))
        with phone, socket.create_connection((url.hostname or "", url.port or 80)) as store:
            while count := phone.recv_into(room):
                head = bytes(room[: min(count, 4096)])
                start = head.index(b"\r\n\r\n") + 4
                length = content_length(head)
                while count < start + length:
                    count += phone.recv_into(room[count : start + length])
                put(store, line, room[start:count])
                phone.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


def put(store: socket.socket, line: str, body: memoryview) -> None:
    """Compute the checksums, send the body and read the answer; ConnectionError when the status is not 200."""
    # Of the whole body, without parsing it: what a server that keeps digests cannot leave out.
    hashlib.sha256(body).hexdigest()
    isal_zlib.crc32(body)
    head = f"{line}Content-Length: {len(body)}\r\n\r\n".encode()
    sent = store.sendmsg([head, body])
    if sent < len(head) + len(body):
        store.sendall(body[sent - len(head) :])
    answer = store.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(repr(answer[:300]))


def content_length(head: bytes) -> int:
    """The Content-Length in a request's head; ValueError when there is none."""
    found = _LENGTH.search(head)
    if found is None:
        raise ValueError("no Content-Length")
    return int(found[1])


def main(port: int, endpoint: str, bucket: str) -> None:
    """Accept connections on the port until killed."""
    bare = Bare(endpoint, bucket)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        while True:
            phone, address = listener.accept()
            threading.Thread(target=bare.serve, args=(phone, str(address[1])), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
