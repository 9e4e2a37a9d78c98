"""How much memory a worker may take, and the one honest way to run out of it: MemoryError, before anything is begun.

Decoders hide that they found no memory: libjpeg, libwebp and libheif report a corrupt file, the Rust resampler ends the
process (each seen under a limit). So whoever is about to let such a library take memory asks `ensure` first, and after
that a failure is what it says it is. `bound` is the last resort against a photo that needs more than its header tells.
Not known here: photos and what they need.
"""

import contextlib
import ctypes
import mmap
import resource
from typing import Final

MIB: Final = 1 << 20
# What a renderer needs beside the photo it decodes, and a worker beside its archives: 70 MiB idle, a pair and its copy
# (40), the renditions of the photo before (36), what the heap keeps (64); 16 stacks of the file store's threads (128).
PROCESS_BYTES: Final = 256 * MIB
# The archives of the two pairs that a worker has under way, their media objects, and twice as much for copies.
ARCHIVES_BYTES: Final = 128 * MIB

# glibc's malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD. One arena, for renders run in a thread and the heap
# that is trimmed is the main thread's. Up to 15.5 MiB comes from it: a `full` picture (2000x2000 in 4 bytes a pixel)
# does, the blocks of 16 MiB that Pillow makes large photos of do not, and go back at once.
_MALLOPT: Final = {-8: 1, -3: 31 * MIB // 2, -1: 64 * MIB}


def bound(photo_bytes: int) -> None:
    """Let this process take so much beside its own needs, and keep what it took; to be called before any thread starts.

    RLIMIT_DATA (Linux 4.7: heap and private writable mappings) and not RLIMIT_AS, which counts reservations and mapped
    libraries too, half of what a worker has mapped. glibc gives freed pictures back to the kernel and faults the same
    pages in again for the next: 2,000 to 6,000 faults and 5 to 10 ms a photo; told to keep 64 MiB it makes some 500.
    Elsewhere (musl, macOS) both may do nothing.
    """
    with contextlib.suppress(ValueError, OSError):  # an administrator's hard limit below ours stays
        resource.setrlimit(resource.RLIMIT_DATA, (photo_bytes + PROCESS_BYTES, resource.RLIM_INFINITY))
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def ensure(size: int) -> None:
    """MemoryError unless the process may take `size` more bytes now; nothing is touched, so this costs microseconds."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise MemoryError(f"{size} bytes") from error
