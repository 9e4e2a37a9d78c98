"""The memory for request bodies: one buffer per upload, as long as the announced body.

The buffers are pages from the kernel, not from the allocator: bytes that have not arrived use address space but no
memory, and freed buffers leave the process. New pages have a cost, because the kernel clears each one on first use,
which is more work than reading a photo into it. So buffers of successful uploads are kept for reuse, up to a limit.
Searching uses the C library's memmem, because bytes.find takes three times as long to find a delimiter in a photo.
"""

import ctypes
import mmap
from typing import Final

# Limit on the buffers kept for reuse: eight pairs of 1 MB. An upload that ends leaves its buffer to the next one.
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
CAPACITY_BYTES_MIN: Final = 64 * 1024

_memmem = ctypes.CDLL(None).memmem
_memmem.restype = ctypes.c_void_p
_memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)


def capacity_for(length: int) -> int:
    """The smallest power of two, at least `CAPACITY_BYTES_MIN`, that holds this many bytes."""
    return max(CAPACITY_BYTES_MIN, 1 << max(0, length - 1).bit_length())


class Buffer:
    """A buffer of `length` bytes; bytes that were not written may hold data of an earlier upload."""

    __slots__ = ("_address", "_mapped", "_pages", "capacity", "lent", "touched", "used", "view")

    def __init__(self, length: int) -> None:
        self.capacity = capacity_for(length)
        self._pages = mmap.mmap(-1, self.capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self._pages.madvise(mmap.MADV_NOHUGEPAGE)  # a huge page would be fully resident from its first byte on
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        self._mapped = memoryview(self._pages)
        self.view = self._mapped[:length]
        self.touched = 0  # bytes that are resident, with whatever content
        self.used = length  # bytes that this upload has written, at most: fewer where no length was announced
        # A PUT that failed may still read it: never emptied nor used again, its memory goes with the last reference.
        self.lent = False

    @property
    def weight(self) -> int:
        """What it counts while it is kept: its resident bytes, rounded up as a capacity is."""
        return capacity_for(self.touched)

    def cut(self, length: int) -> "Buffer":
        """Reuse the memory for another upload, of at most `capacity` bytes."""
        self.view = self._mapped[:length]
        self.used = length
        return self

    def empty(self) -> None:
        """Free the memory now, even if references remain: the buffer reads as zeros afterwards. Not of a lent one."""
        if self.lent:
            return
        self._pages.madvise(mmap.MADV_DONTNEED)
        self.touched = 0

    def find(self, needle: bytes, start: int, end: int) -> int:
        """The position of the first complete needle between `start` and `end`, or -1."""
        if end - start < len(needle):
            return -1
        found: int | None = _memmem(self._address + start, end - start, needle, len(needle))
        return -1 if found is None else found - self._address


class Buffers:
    """Unused buffers; the most recently returned is reused first, and above the limit the oldest is freed.

    The oldest is also freed when none has the capacity that an upload needs, because its capacity is not in demand.
    """

    def __init__(self, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._kept: list[Buffer] = []
        self.kept_bytes = 0

    def take(self, length: int) -> Buffer:
        """A buffer of this length, reused if possible."""
        capacity = capacity_for(length)
        for at in range(len(self._kept) - 1, -1, -1):
            if self._kept[at].capacity == capacity:
                self.kept_bytes -= self._kept[at].weight
                return self._kept.pop(at).cut(length)
        if self._kept:
            self.kept_bytes -= self._kept.pop(0).weight
        return Buffer(length)

    def give(self, buffer: Buffer) -> None:
        """Return a buffer that nothing reads or writes any more; a lent one is not kept."""
        if buffer.lent:
            return
        buffer.touched = max(buffer.touched, buffer.used)
        if buffer.weight > self._kept_bytes_max:
            return
        self._kept.append(buffer)
        self.kept_bytes += buffer.weight
        while self.kept_bytes > self._kept_bytes_max:
            self.kept_bytes -= self._kept.pop(0).weight
