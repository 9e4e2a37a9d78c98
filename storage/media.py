"""The media object: all renditions of a post and its record, in one ZIP whose PUT makes the post ready.

Pure. Entries, stored uncompressed: the renditions (`front-thumb.jpg` … `composite.jpg`), then `post.json`. The record
has each rendition's offset, so that one ranged read of the tail finds the record and one more serves any rendition. A
rejected post has only the record.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from . import zips
from .records import Post, Rendition

RECORD_ENTRY = "post.json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Post).decode


class Image(msgspec.Struct, frozen=True):
    """One rendition: JPEG bytes, width and height in pixels."""

    data: bytes
    width: int
    height: int


def pack(post: Post, images: Mapping[str, Image]) -> tuple[Post, bytes]:
    """The record completed with each rendition's offset, and the object to PUT. `images` has names without `.jpg`."""
    entries = {f"{name}.jpg": image.data for name, image in images.items()}
    offsets = zips.data_offsets(entries)
    record = msgspec.structs.replace(
        post,
        renditions={
            name: Rendition(
                offset=offsets[f"{name}.jpg"],
                bytes=len(image.data),
                width=image.width,
                height=image.height,
                sha256=hashlib.sha256(image.data).hexdigest(),
            )
            for name, image in images.items()
        },
    )
    return record, b"".join(zips.pack({**entries, RECORD_ENTRY: _encode(record)}))


def record_in(tail: bytes) -> Post:
    """The record from the object's last `zips.TAIL_BYTES`, or from all of it; zips.Damaged when there is none."""
    try:
        return _decode(zips.last_entry(tail, RECORD_ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a post record: {error}") from error


def checked(archive: bytes) -> Post:
    """The record of a complete object, after every rendition was compared with its digest; zips.Damaged."""
    record, entries = record_in(archive), zips.unpack(archive)
    wanted = {f"{name}.jpg" for name in record.renditions} | {RECORD_ENTRY}
    if entries.keys() != wanted:
        raise zips.Damaged(f"it holds {', '.join(sorted(entries))}, and its record names {', '.join(sorted(wanted))}")
    for name, place in record.renditions.items():
        data = memoryview(archive)[place.offset : place.offset + place.bytes]
        if hashlib.sha256(data).hexdigest() != place.sha256:
            raise zips.Damaged(f"the rendition {name} has another digest than its record")
    return record
