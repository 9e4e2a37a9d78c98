"""Asks the judge of photos (storage/photo/judge.py) about a received photo, and words its refusals for the client.

Only headers are read, nothing is decoded: an image that claims 60,000 x 60,000 pixels costs as little as any other. A
photo that passes here and whose pixels turn out to be damaged makes the post `rejected`.
"""

from storage.photo import judge
from storage.photo.formats import Limits
from storage.records import Photo, Side


class NotAPhoto(Exception):
    """The bytes are not in a supported format."""


class BadPhoto(Exception):
    """A photo in a supported format that is not acceptable; the text says why."""


def inspect(side: Side, data: memoryview, sha256: str, limits: Limits) -> Photo:
    """What the header says, if the photo is acceptable; NotAPhoto, BadPhoto."""
    if not data:
        raise BadPhoto(f"the {side} photo is empty")
    try:
        photo = judge.judged(data, limits)
    except judge.NotAPhoto as error:
        raise NotAPhoto(f"the {side} photo is {error}") from None
    except judge.Refused as error:
        raise BadPhoto(f"the {side} photo is {error}") from None
    return Photo(sha256=sha256, bytes=len(data), width=photo.width, height=photo.height, format=photo.format)
