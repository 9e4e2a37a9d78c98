"""The media object: renditions where the record says, the record in the tail."""

import hashlib
import io
import zipfile
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import media, zips
from storage.records import Post

NAMES = [f"{side}-{size}" for side in ("front", "back") for size in ("thumb", "feed", "full")] + ["composite"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=5000), min_size=7, max_size=7))
def test_the_record_knows_where_each_rendition_lies(bodies: list[bytes], make_post: Callable[..., Post]) -> None:
    """A slice by offset and bytes is the image, with its digest; the tail holds the same record."""
    images = {name: media.Image(body, 10, 20) for name, body in zip(NAMES, bodies, strict=True)}
    record, archive = media.pack(make_post("ready"), images)

    for name, image in images.items():
        place = record.renditions[name]
        assert archive[place.offset : place.offset + place.bytes] == image.data
        assert place.sha256 == hashlib.sha256(image.data).hexdigest()
        assert (place.width, place.height) == (10, 20)
    assert media.record_in(archive[-zips.TAIL_BYTES :]) == record
    assert zipfile.ZipFile(io.BytesIO(archive)).testzip() is None


def test_entries_are_named_and_the_record_is_last(make_post: Callable[..., Post]) -> None:
    """What ops see in the archive."""
    _, archive = media.pack(make_post("ready"), {name: media.Image(b"x", 1, 1) for name in NAMES})

    assert zipfile.ZipFile(io.BytesIO(archive)).namelist() == [*(f"{name}.jpg" for name in NAMES), "post.json"]


def test_a_rejected_post_has_the_record_alone(make_post: Callable[..., Post]) -> None:
    """No renditions, and the reason."""
    post = msgspec.structs.replace(make_post("rejected"), reason="truncated")
    record, archive = media.pack(post, {})

    assert record == post
    assert media.record_in(archive) == post


def test_rendering_twice_gives_the_same_bytes(make_post: Callable[..., Post]) -> None:
    """The same post and images, the same object."""
    images = {"composite": media.Image(b"jpeg", 3, 4)}

    assert media.pack(make_post("ready"), images) == media.pack(make_post("ready"), images)


def test_a_full_record_fits_its_limit(make_post: Callable[..., Post]) -> None:
    """Seven renditions of big photos, thumbhashes and a user id of 256 characters stay under 6 KiB."""
    post = msgspec.structs.replace(
        make_post("ready", user="ü" * 256), thumbhash={"front": "x" * 40, "back": "x" * 40}, reason="r" * 200
    )
    images = {name: media.Image(b"x" * 500_000, 2000, 2000) for name in NAMES}
    record, archive = media.pack(post, images)

    assert media.record_in(archive[-zips.TAIL_BYTES :]) == record


@pytest.mark.parametrize("record", [b"{}", b"no json", b'{"id": 1}'])
def test_another_record_is_damaged(record: bytes) -> None:
    """JSON that is no post, and no JSON."""
    with pytest.raises(zips.Damaged):
        media.record_in(b"".join(zips.pack({"post.json": record})))
