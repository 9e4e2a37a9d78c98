"""The unnamed file through which a worker and its render process pass pairs and media objects to each other.

A process may be kept from writing (a limit of file sizes, no memory): then a write is short, without an error, and the
other process would read half an object. So a short write or read is an error here.
"""

import errno
import os
import tempfile
from typing import Any

from storage.blobs import Buffer


def unnamed_file() -> int:
    """The descriptor of an unnamed file: in memory where the system supports it (memfd_create), else on disk."""
    create: Any = getattr(os, "memfd_create", None)
    if create is not None:
        return int(create("pair"))
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def put(file: int, data: Buffer) -> None:
    """Write all of the data to the file's beginning; OSError."""
    written = os.pwrite(file, data, 0)
    if written != len(data):
        raise OSError(errno.EFBIG, f"only {written} of {len(data)} bytes could be passed between worker and renderer")


def taken(file: int, size: int) -> bytes:
    """The first bytes of the file; OSError if it is shorter."""
    data = os.pread(file, size, 0)
    if len(data) != size:
        raise OSError(errno.EIO, f"only {len(data)} of {size} bytes were passed between worker and renderer")
    return data
