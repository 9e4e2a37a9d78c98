"""Photos as odd as phones and programs write them, made by hand; each with what must become of it.

`tests/photos/` has those of public reports. The rest is made here, from one picture.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from bench.contests.bombs import chunk

FOLDER: Final = Path(__file__).resolve().parents[3] / "photos"
SIZE: Final = (96, 128)
SOS: Final = b"\xff\xda"
FILM: Final = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\x10\0mdat" + (b"\xff\xda\0\x0c\xff\xd8" * 700)[:4088]
# Galaxy phones write a directory of notes behind a photo.
GALAXY: Final = b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1754000000000SEFH\x6b\0\0\0\x01\0\0\0SEFT"
ORIENTATION: Final = 0x0112


def drawn() -> Image.Image:
    """An upright picture whose four corners differ: red, green, blue and white, from the top left clockwise."""
    image = Image.new("RGB", SIZE, "grey")
    draw = ImageDraw.Draw(image)
    width, height = SIZE
    for left, top, colour in ((0, 0, "red"), (width // 2, 0, "lime"), (width // 2, height // 2, "blue")):
        draw.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=colour)
    draw.rectangle((0, height // 2, width // 2 - 1, height - 1), fill="white")
    return image


def exif(orientation: int) -> bytes:
    """EXIF data with an orientation."""
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made.tobytes()


def turned(kind: str, *, container: int, stated: int) -> bytes:
    """The picture as HEIC or AVIF: its container turns it as `container` says, its EXIF data says `stated`.

    Encoders write the orientation into the container, and 1 into EXIF; so another tag becomes the orientation here.
    """
    made = Image.Exif()
    made[ORIENTATION] = container
    made[ORIENTATION + 1] = stated
    out = io.BytesIO()
    drawn().save(out, kind, exif=made.tobytes())
    before, after = (struct.pack(">HHIH", tag, 3, 1, stated) for tag in (ORIENTATION + 1, ORIENTATION))
    first = struct.pack(">HHIH", ORIENTATION, 3, 1, 1)
    data = out.getvalue()
    assert data.count(before) == 1
    return data.replace(first, struct.pack(">HHIH", ORIENTATION - 1, 3, 1, 1)).replace(before, after)


def written(kind: str, **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    drawn().save(out, kind, **options)
    return out.getvalue()


def palette() -> bytes:
    """The picture as a PNG with a palette and transparency."""
    out = io.BytesIO()
    drawn().quantize(8).save(out, "PNG", transparency=0)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body


def behind_magic(photo: bytes, more: bytes) -> bytes:
    """A JPEG with more bytes behind its first marker."""
    return photo[:2] + more + photo[2:]


def behind_header(photo: bytes, more: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return photo[:33] + more + photo[33:]


def good() -> Iterator[tuple[str, bytes]]:
    """Odd photos that must be rendered."""
    jpeg, progressive = written("JPEG"), written("JPEG", progressive=True)
    many_scans = segment(0xE2, (SOS + b"\0\x0c\1\1\0\0?\0") * 2000)
    png, webp, heic, avif = written("PNG"), written("WEBP"), written("HEIF"), written("AVIF")
    for path in sorted(FOLDER.glob("*-*")):
        yield path.name, path.read_bytes()
    yield "JPEG with a film behind it", jpeg + FILM
    yield "progressive JPEG with a film behind it", progressive + FILM
    yield "progressive JPEG with scans in an APP2 segment", behind_magic(progressive, many_scans)
    yield "progressive JPEG with scans in a comment between scans", _between_scans(progressive, SOS * 900)
    yield "JPEG with `00 E1` between segments", _between_segments(jpeg, b"\0\xe1")
    yield "JPEG with stuffed and unknown markers between segments", _between_segments(jpeg, b"\xff\0\xff\x4b\xff\xf3a")
    yield "JPEG with an Adobe segment of 3 bytes", behind_magic(jpeg, segment(0xEE, b"Ado"))
    yield "JPEG with an Adobe segment of 7 bytes", behind_magic(jpeg, segment(0xEE, b"Adobe\0d"))
    yield "JPEG with a segment shorter than its length", behind_magic(jpeg, b"\xff\xe5\0\0")
    yield "JPEG with a broken Photoshop segment", behind_magic(jpeg, segment(0xED, b"Photoshop 3.0\x008BIM\4"))
    yield "JPEG with a broken MPF segment", behind_magic(jpeg, segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"))
    yield "JPEG with a short ICC segment", behind_magic(jpeg, segment(0xE2, b"ICC_PROFILE\0\1"))
    yield "JPEG without its Huffman tables", _without_tables(jpeg)
    yield "PNG with 2 MB of compressed text", behind_header(png, _text(2 << 20))
    yield "PNG with 99 texts", behind_header(png, _text(1 << 20) * 99)
    yield "PNG with bytes behind its end", png + bytes(range(256)) * 300
    yield "PNG with a wrong checksum in a text", behind_header(png, chunk(b"tEXt", b"a\0b")[:-1] + b"?")
    yield "PNG with a wrong checksum in a profile", behind_header(png, chunk(b"iCCP", b"a\0\0b")[:-1] + b"?")
    yield "PNG with a short transparency", behind_header(png, chunk(b"tRNS", b"\0\0"))
    yield "PNG with a broken animation", behind_header(png, chunk(b"acTL", b"\0"))
    yield "PNG with a film behind it", png + FILM
    yield "WebP with a film behind it", webp + FILM
    for name, photo in (("HEIC", heic), ("AVIF", avif)):
        yield f"{name} with a line feed behind it", photo + b"\n"
        yield f"{name} with a film behind it", photo + FILM
        yield f"{name} with a film in an mpvd box", photo + struct.pack(">I4s", 8 + len(FILM), b"mpvd") + FILM
        yield f"{name} with Galaxy's notes behind it", photo + GALAXY
        yield f"{name} under the brand mif1", photo[:8] + b"mif1" + photo[12:]
    yield "AVIF under the brand avis", avif[:8] + b"avis" + avif[12:]
    yield "AVIF under the brand heic", avif[:8] + b"heic" + avif[12:]


def bad() -> Iterator[tuple[str, bytes, str]]:
    """Photos that must be refused, and what the reason says."""
    jpeg, png, heic, avif = written("JPEG"), written("PNG"), written("HEIF"), written("AVIF")
    for path in sorted((FOLDER.parent / "attack" / "photos").iterdir()):
        yield path.name, path.read_bytes(), "arithmetic"
    for name, photo in (("JPEG", jpeg), ("PNG", png), ("WebP", written("WEBP")), ("HEIC", heic), ("AVIF", avif)):
        for part in (0.5, 0.9):
            yield f"{name} cut at {part}", photo[: int(len(photo) * part)], "cut off"
        yield f"{name} without its last byte", photo[:-1], "cut off"
    galaxy = (FOLDER / "F1-heic-galaxy-a32-junk-behind-boxes.heic").read_bytes()
    yield "F1 cut in its picture", galaxy[:-200], "cut off"
    yield "JPEG with 70,000 bytes of junk", _between_segments(jpeg, bytes(70_000)), "bytes between its segments"
    yield (
        "JPEG whose Huffman tables cannot be",
        jpeg.replace(b"\xff\xc4\0\x1f\0\0", b"\xff\xc4\0\x1f\0\2", 1),
        "Huffman",
    )
    yield "JPEG without quantisation tables", jpeg.replace(b"\xff\xdb", b"\xff\xe9"), "quantisation"
    yield "PNG whose header has another checksum", png[:29] + b"abcd" + png[33:], "checksum"
    yield "PNG without pixels", png[:33] + chunk(b"IEND", b""), "without pixels"
    yield "PNG without the palette of its pixels", _header_of(png, 8, 3), "palette"
    yield "PNG with 3 bits a pixel", _header_of(png, 3, 0), "header"
    yield "HEIF in JPEG coding", heic.replace(b"hvc1", b"jpeg"), "jpeg coding"
    yield "a film", FILM[:8] + b"mp42" + FILM[12:], "not a JPEG"
    yield "a GIF", written("GIF"), "not a JPEG"


def _between_segments(jpeg: bytes, junk: bytes) -> bytes:
    at = jpeg.index(b"\xff\xdb")
    return jpeg[:at] + junk + jpeg[at:]


def _between_scans(jpeg: bytes, comment: bytes) -> bytes:
    at = jpeg.rindex(SOS)
    return jpeg[:at] + segment(0xFE, comment) + jpeg[at:]


def _without_tables(jpeg: bytes) -> bytes:
    """A JPEG of the standard tables without them, as frames of motion JPEG."""
    parts = jpeg.split(b"\xff\xc4")
    *_, last = parts
    return parts[0] + last[int.from_bytes(last[:2], "big") :]


def _header_of(png: bytes, bits: int, colour: int) -> bytes:
    header = png[16:24] + bytes((bits, colour, 0, 0, 0))
    return png[:8] + chunk(b"IHDR", header) + png[33:]


def _text(size: int) -> bytes:
    packed = zlib.compress(bytes(size), 9)
    return chunk(b"zTXt", b"Comment\0\0" + packed)
