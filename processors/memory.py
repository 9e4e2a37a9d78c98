"""Limits a process's memory (`bound`), and raises MemoryError before a library runs out of it (`ensure`).

Libraries hide a lack of memory: libjpeg, libwebp and libheif report a corrupt file, and the Rust resampler ends the
process (each observed under a limit). Therefore callers of such a library call `ensure` first; a failure after that has
the cause that it names. `bound` is the last resort against a photo that needs more memory than its header tells. This
file does not know photos.
"""

import contextlib
import ctypes
import mmap
import resource
from typing import Final

MIB: Final = 1 << 20
# The needs of a renderer besides the photo that it decodes: 70 MiB idle, a pair and its copy (64), a photo as its
# decoder gets it (16), the renditions of the photo before (36), freed memory that the heap keeps (64). Also those of a
# worker besides its archives, where the file store's 16 threads have stacks (128).
PROCESS_BYTES: Final = 320 * MIB
# The archives and media objects of a worker's two pairs of two photos, plus twice that amount for copies.
ARCHIVES: Final = 2 * 2 * 3

# glibc's malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD. One arena, because renders may run in a thread but
# only the main thread's heap is trimmed. Allocations up to 15.5 MiB come from the heap, so a `full` picture (2000x2000,
# 4 bytes a pixel) does. The blocks of 16 MiB in which Pillow holds large photos do not: they return to the kernel at
# once.
_MALLOPT: Final = {-8: 1, -3: 31 * MIB // 2, -1: 64 * MIB}


def bound(photo_bytes: int) -> None:
    """Limit the process to `photo_bytes` besides its own needs, and let malloc keep freed memory for the next photo.

    Call it before any thread starts. On musl and macOS it may do nothing.
    """
    # RLIMIT_DATA counts the heap and private writable mappings (since Linux 4.7). RLIMIT_AS would also count
    # reservations and mapped libraries, half of a worker's mappings.
    with contextlib.suppress(ValueError, OSError):  # A lower hard limit, set by an administrator, stays.
        resource.setrlimit(resource.RLIMIT_DATA, (photo_bytes + PROCESS_BYTES, resource.RLIM_INFINITY))
    # By default glibc returns freed pictures to the kernel and faults their pages in again for the next photo: 2,000 to
    # 6,000 page faults and 5 to 10 ms a photo. With 64 MiB kept there are some 500 faults.
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def ensure(size: int) -> None:
    """Raise MemoryError unless the process may allocate `size` more bytes now.

    Costs microseconds, because no page of the trial mapping is touched. Where the heap keeps more freed memory than
    usual (blocks of many sizes leave gaps), it is returned to the kernel first.
    """
    try:
        _reserve(size)
    except OSError:
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        try:
            _reserve(size)
        except OSError as error:
            raise MemoryError(f"{size} bytes") from error


def _reserve(size: int) -> None:
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
