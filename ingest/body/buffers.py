"""The memory that bodies land in: one buffer an upload, as long as the body was announced to be.

Pages of their own from the kernel, not the allocator's: what has not come yet takes address space but no memory, and
what is given back is gone. Fresh pages are not free of cost (the kernel clears each on its first touch, more work than
reading a photo into it), so buffers of uploads that went well are kept and used again, within a bound. Searching is
here too, by the C library's memmem: bytes.find takes three times as long for a delimiter in a photo.
"""

import ctypes
import mmap
from typing import Final

# What is kept for reuse: eight pairs of 1 MB; one that ends leaves its buffer to the next that begins.
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
CAPACITY_BYTES_MIN: Final = 64 * 1024

_memmem = ctypes.CDLL(None).memmem
_memmem.restype = ctypes.c_void_p
_memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)


def capacity_for(length: int) -> int:
    """The power of two, at least `CAPACITY_BYTES_MIN`, that holds so many bytes."""
    return max(CAPACITY_BYTES_MIN, 1 << max(0, length - 1).bit_length())


class Buffer:
    """So many bytes; those that nothing was written to may hold what an earlier upload left."""

    __slots__ = ("_address", "_pages", "_whole", "capacity", "touched", "view")

    def __init__(self, length: int) -> None:
        self.capacity = capacity_for(length)
        self._pages = mmap.mmap(-1, self.capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self._pages.madvise(mmap.MADV_NOHUGEPAGE)  # a huge page would be resident for its first byte
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        self._whole = memoryview(self._pages)
        self.view = self._whole[:length]
        self.touched = 0  # bytes that have memory, whatever lies in them

    def cut(self, length: int) -> "Buffer":
        """The same memory for another upload, of at most `capacity` bytes."""
        self.view = self._whole[:length]
        return self

    def empty(self) -> None:
        """Give the memory back now, whoever still refers to the buffer: it reads as zeros from here on."""
        self._pages.madvise(mmap.MADV_DONTNEED)
        self.touched = 0

    def find(self, needle: bytes, start: int, end: int) -> int:
        """Where the needle first lies wholly between the two, or -1."""
        if end - start < len(needle):
            return -1
        found: int | None = _memmem(self._address + start, end - start, needle, len(needle))
        return -1 if found is None else found - self._address


class Buffers:
    """Those at rest, the last given first; too many for the bound, the one that rested longest goes.

    So does one whenever none fits: what rests then is of lengths that come no more, or not now.
    """

    def __init__(self, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._kept: list[Buffer] = []
        self.kept_bytes = 0

    def take(self, length: int) -> Buffer:
        """A buffer of this length, an old one if there is one."""
        capacity = capacity_for(length)
        for at in range(len(self._kept) - 1, -1, -1):
            if self._kept[at].capacity == capacity:
                self.kept_bytes -= capacity
                return self._kept.pop(at).cut(length)
        if self._kept:
            self.kept_bytes -= self._kept.pop(0).capacity
        return Buffer(length)

    def give(self, buffer: Buffer) -> None:
        """Nobody reads or writes it any more."""
        buffer.touched = max(buffer.touched, len(buffer.view))
        if buffer.capacity > self._kept_bytes_max:
            return
        self._kept.append(buffer)
        self.kept_bytes += buffer.capacity
        while self.kept_bytes > self._kept_bytes_max:
            self.kept_bytes -= self._kept.pop(0).capacity
