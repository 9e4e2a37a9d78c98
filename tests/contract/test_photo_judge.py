"""Node and worker agree: what a node accepts, a worker renders, unless its pixels turn out to be damaged."""

import random
import warnings
from collections.abc import Callable

import pytest

from ingest.body.photos import BadPhoto, NotAPhoto, inspect
from processors.render.decoding import Undecodable, decoded
from storage.photo.formats import Limits
from tests.unit.storage.photo import heifs, odd

GOOD = dict([*odd.good(), *heifs.good()])
BAD = {name: (photo, reason) for name, photo, reason in [*odd.bad(), *heifs.bad()]}
# What only decoding tells.
DAMAGED = ("truncated ", "corrupt or incomplete ")
SEED = 20261129
MUTANTS = 60


def refusal(photo: bytes) -> str | None:
    """Why a node refuses the photo; None if it accepts it."""
    try:
        inspect("front", memoryview(photo), "0" * 64, Limits())
    except (BadPhoto, NotAPhoto) as error:
        return str(error)
    return None


def rejection(photo: bytes) -> str | None:
    """Why a worker rejects the photo; None if it renders it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # as a renderer does
            decoded(photo, 320, Limits())
    except Undecodable as error:
        return error.reason
    return None


@pytest.mark.parametrize("name", GOOD)
def test_odd_photos_are_accepted_and_rendered(name: str) -> None:
    """By both."""
    assert refusal(GOOD[name]) is None
    assert rejection(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_bad_photos_are_refused_with_the_true_reason(name: str) -> None:
    """By the node, and in the same words by a worker."""
    photo, reason = BAD[name]
    found = refusal(photo)

    assert found
    assert reason in found
    assert found == f"the front photo is {rejection(photo)}"


def flipped(rng: random.Random, photo: bytearray) -> None:
    """Change one to four bytes."""
    for _ in range(rng.randint(1, 4)):
        photo[rng.randrange(len(photo))] = rng.randrange(256)


def cut(rng: random.Random, photo: bytearray) -> None:
    """Cut the end off."""
    del photo[rng.randrange(len(photo)) :]


def holed(rng: random.Random, photo: bytearray) -> None:
    """Remove a few bytes."""
    at = rng.randrange(len(photo))
    del photo[at : at + rng.randint(1, 40)]


def stuffed(rng: random.Random, photo: bytearray) -> None:
    """Insert a few bytes, markers among them."""
    at = rng.randrange(len(photo))
    photo[at:at] = rng.choice((rng.randbytes(rng.randint(1, 40)), b"\xff\xda\0\x0c", b"\xff", b"\0\0\0\x08free"))


def early(change: Callable[[random.Random, bytearray], None]) -> Callable[[random.Random, bytearray], None]:
    """The same change within the first 700 bytes, where the header is."""

    def changed(rng: random.Random, photo: bytearray) -> None:
        head = photo[:700]
        change(rng, head)
        photo[:700] = head

    return changed


@pytest.mark.parametrize("kind", ["JPEG", "PROGRESSIVE", "PNG", "PALETTE", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize("change", [flipped, cut, holed, stuffed, early(flipped), early(holed), early(stuffed)])
def test_node_and_worker_agree_on_damaged_photos(kind: str, change: Callable[[random.Random, bytearray], None]) -> None:
    """Whatever was changed: refused by both in the same words, rendered, or damaged where only a decoder sees it."""
    options: dict[str, object] = {"PROGRESSIVE": {"progressive": True}, "JPEG": {"exif": odd.exif(6)}}.get(kind, {})
    whole = odd.palette() if kind == "PALETTE" else odd.written({"PROGRESSIVE": "JPEG"}.get(kind, kind), **options)
    rng = random.Random(f"{SEED}:{kind}:{change.__name__}")
    for number in range(MUTANTS):
        photo = bytearray(whole)
        change(rng, photo)
        refused, rejected = refusal(bytes(photo)), rejection(bytes(photo))
        if refused:
            agree = refused == f"the front photo is {rejected}" or not photo
        else:
            agree = rejected is None or rejected.startswith(DAMAGED)
        assert agree, (number, refused, rejected, bytes(photo).hex())


HEIFS = [(kind, name) for name in GOOD for kind in heifs.CODINGS if name.startswith(f"{kind}:")]
# Coded data within a header: libde265 checks more of them than is worth checking here (storage/README.md).
CODED = b"hvcC"


def swapped(rng: random.Random, head: bytearray) -> None:
    """Exchange two pairs of bytes: numbers of items, sizes, types."""
    one, other = rng.randrange(len(head) - 1), rng.randrange(len(head) - 1)
    head[one : one + 2], head[other : other + 2] = bytes(head[other : other + 2]), bytes(head[one : one + 2])


def small(rng: random.Random, head: bytearray) -> None:
    """Change a byte to a number as it stands in boxes."""
    head[rng.randrange(len(head))] = rng.choice((0, 1, 2, 3, 4, 5, 6, 8, 63, 64, 80, 128, 160, 255))


@pytest.mark.parametrize(("kind", "name"), HEIFS)
def test_node_and_worker_agree_on_damaged_boxes(kind: str, name: str) -> None:
    """Of grids, alpha channels, crops and colours: whatever headers say, a node accepts no photo that a worker rejects.

    All bytes before the coded pixels are changed, but for those of HEVC's parameter sets.
    """
    whole = GOOD[name]
    end = whole.rindex(b"mdat")
    rng = random.Random(f"{SEED}:{name}")
    for number in range(2 * MUTANTS):
        head = bytearray(whole[:end])
        rng.choice((flipped_once, swapped, small, holed, stuffed))(rng, head)
        photo = bytes(head) + whole[end:]
        if kind == "HEIF" and _sets(photo) != _sets(whole):
            continue
        if refusal(photo) is None:
            assert rejection(photo) is None, (number, photo.hex())


def flipped_once(rng: random.Random, head: bytearray) -> None:
    """Change a bit."""
    head[rng.randrange(len(head))] ^= 1 << rng.randrange(8)


def _sets(photo: bytes) -> list[bytes]:
    """The contents of a photo's `hvcC` boxes."""
    starts = [at for at in range(len(photo)) if photo.startswith(CODED, at)]
    return [photo[at : at + int.from_bytes(photo[at - 4 : at], "big")] for at in starts]


def test_nothing_before_the_first_scan_of_a_jpeg_fails_a_worker() -> None:
    """Each byte of the head, changed to a few others: the node sees all that libjpeg sees there."""
    for options in ({}, {"progressive": True}, {"exif": odd.exif(1)}):
        whole = odd.written("JPEG", **options)
        for at in range(2, whole.index(odd.SOS) + 2 * (options != {"progressive": True}) + 8):
            for value in (0, 1, 0x11, 0xC4, 0xD8, 0xDA, 0xFF, whole[at] ^ 1, whole[at] ^ 0x80):
                photo = whole[:at] + bytes((value,)) + whole[at + 1 :]
                if refusal(photo) is None:
                    assert rejection(photo) is None, (at, value, options)


@pytest.mark.parametrize("side", [65_500, 65_501, 65_535])
def test_node_and_worker_agree_on_the_longest_side(side: int) -> None:
    """libjpeg decodes 65,500 pixels, a header can state more."""
    photo = odd.written("JPEG")
    at = photo.index(b"\xff\xc0") + 7
    long = photo[:at] + side.to_bytes(2, "big") + photo[at + 2 :]

    assert (refusal(long) is None) is (rejection(long) is None) is (side <= 65_500)
