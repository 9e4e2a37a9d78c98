"""A pair of photos in, every rendition out: CPU only, bytes to bytes, the same input giving the same bytes.

Each photo is opened by its magic bytes, measured from its header, decoded once and reduced large to small
(`full` → `feed` → `thumb`), never enlarged. Photos are hostile input: whatever is wrong with one ends as `Undecodable`
with a reason a person understands, and a fault of ours (`MemoryError`) never does. Renditions are encoded from bare
pixels, so no byte of the photo's metadata can survive. Not known here: posts, stores, queues, deadlines.

The options are measured (one core, 1500x2000 and 12 MP JPEG, SSIM against Lanczos):
- `draft` (libjpeg reduces while it decodes) halves a 12 MP photo, 169 → 98 ms, for 0.001 of SSIM after encoding.
- `optimize` is 7.5 → 17 ms for 1 % fewer bytes, `progressive` 40 ms for 4 %, 4:4:4 12 ms for 22 % more bytes.
- Quality costs no time; 80 is SSIM 0.991 at 462 KB where 85 is 0.995 at 502 KB and 75 is 0.987 at 429 KB.
- The filters: see `_shrunk`.
"""

import base64
import io
import struct
import warnings
import zlib
from typing import Final

import msgspec
import thumbhash
from PIL import Image
from pillow_heif import register_heif_opener

from .colour import flattened, to_srgb
from .composite import composite

# The only global state: Pillow learns HEIF at import. One thread, because a worker owns one core; the embedded
# thumbnail is never decoded in place of the photo, because it may show another picture.
register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# All plugins now: one that Pillow cannot load later, for want of a descriptor, would make good photos undecodable.
Image.init()

# Long sides in pixels, large to small; the order is the chain.
SIZES: Final = {"full": 2000, "feed": 1080, "thumb": 320}
JPEG_QUALITY: Final = 80
# The hash keeps at most 7 waves a side, so 24 pixels are plenty; 1.6 ms in pure Python where 100 pixels are 24 ms.
THUMBHASH_SIDE: Final = 24

HEIF_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
KIND_NAMES: Final = {"HEIF": "HEIC", "WEBP": "WebP"}  # where people write it otherwise than Pillow
# EXIF 2.32, tag Orientation: how to turn the stored pixels upright.
ORIENTATION_TAG: Final = 0x0112
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow, its plugins and libheif raise for bytes that are no photo (found by fuzzing). The bytes are in memory, so
# an OSError is no disk; MemoryError is not among them.
PHOTO_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class Undecodable(Exception):
    """The photo cannot be rendered and never will be; `reason` is written for the person who took it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a photo may be, by its header.

    50 MP covers every phone's default. Photos that large were measured to peak at 75 MB of memory as JPEG, 205 as
    progressive JPEG, 360 as PNG, 400 as HEIC, 560 with alpha, 810 as WebP. Encoders write about 10 scans; a hostile
    progressive JPEG has thousands, each a pass over all pixels.
    """

    pixels_max: int = 50_000_000
    side_min: int = 64
    side_max: int = 12_000
    scans_max: int = 64


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One derived image: a baseline sRGB JPEG without metadata, and its size in pixels."""

    name: str
    data: bytes
    width: int
    height: int


class Renditions(msgspec.Struct, frozen=True, kw_only=True):
    """All of a pair: `front-thumb` to `back-full` and `composite`; the ThumbHash (base64) of `front` and of `back`."""

    images: tuple[Rendition, ...]
    thumbhash: dict[str, str]


LIMITS: Final = Limits()


def render(front: bytes, back: bytes, *, limits: Limits = LIMITS) -> Renditions:
    """Every rendition of a pair; raises `Undecodable` for the first photo that is none.

    Pillow's warnings are switched off while it decodes: they tell of broken EXIF, which is ignored, and of sizes that
    our stricter limits refuse. Python keeps warning filters per process, so one render at a time in a process, and
    what other threads would warn of meanwhile is lost.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = {"front": _chain("front", front, limits), "back": _chain("back", back, limits)}
    images = [
        _encoded(f"{side}-{size}", image) for side, chain in pair.items() for size, image in reversed(chain.items())
    ]
    images.append(_encoded("composite", composite(back=pair["back"]["feed"], front=pair["front"]["feed"])))
    hashes = {side: _thumbhash(chain["thumb"]) for side, chain in pair.items()}
    return Renditions(images=tuple(images), thumbhash=hashes)


def _chain(side: str, photo: bytes, limits: Limits) -> dict[str, Image.Image]:
    """The photo in each of `SIZES`, every size reduced from the one before."""
    try:
        image = _decoded(photo, limits)
    except Undecodable as error:
        raise Undecodable(f"{side} photo: {error.reason}") from error
    chain = {}
    for size, long_side in SIZES.items():
        image = chain[size] = _shrunk(image, long_side)
    return chain


def _decoded(photo: bytes, limits: Limits) -> Image.Image:
    """The photo upright in sRGB, at most as large as `full`, carrying nothing but pixels."""
    kind = _kind(photo)
    # Every scan starts with an SOS marker, and inside compressed data FF is never followed by DA.
    if kind == "JPEG" and photo.count(b"\xff\xda") > limits.scans_max:
        raise Undecodable(f"a JPEG of more than {limits.scans_max} scans")
    image = _opened(photo, kind, limits)
    profile = image.info.get("icc_profile")
    orientation = _orientation(image)
    # The dear steps come after the reduction; none of them minds.
    image = _shrunk(flattened(image), SIZES["full"])
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image = to_srgb(image, profile)
    image.info = {}  # Pillow would write a comment found here into the rendition
    return image


def _opened(photo: bytes, kind: str, limits: Limits) -> Image.Image:
    """The photo's pixels as stored, decoded at the smallest size the decoder offers that is enough for `full`."""
    try:
        image = Image.open(io.BytesIO(photo), formats=[kind])
        _check(image.size, limits)  # before `draft`, which rewrites the size
        image.draft(None, _fitted(image.size, SIZES["full"]))
        image.load()
    except Image.DecompressionBombError as error:  # beyond 179 MP Pillow refuses by itself
        raise Undecodable(f"more than {_most(limits)} megapixels") from error
    except PHOTO_ERRORS as error:
        if "out of memory error" in str(error):  # Pillow's ImageFile.ERRORS[-9], an OSError: ours, not the photo's
            raise MemoryError(str(error)) from error
        state = (
            "truncated" if "truncated" in str(error).lower() or isinstance(error, EOFError) else "corrupt or incomplete"
        )
        raise Undecodable(f"{state} {KIND_NAMES.get(kind, kind)}") from error
    if image.width * image.height > limits.pixels_max:  # libheif may find another size than the header's
        raise Undecodable(f"more than {_most(limits)} megapixels")
    return image


def _kind(photo: bytes) -> str:
    """The format by its magic bytes, in Pillow's words; a file name or media type is never asked."""
    if photo.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if photo.startswith(b"RIFF") and photo[8:12] == b"WEBP":
        return "WEBP"
    if photo[4:8] == b"ftyp" and photo[8:12] in HEIF_BRANDS:
        return "HEIF"
    raise Undecodable("not a JPEG, PNG, WebP or HEIC image")


def _check(size: tuple[int, int], limits: Limits) -> None:
    """Raise `Undecodable` when a photo of this size is none we take."""
    width, height = size
    if width * height > limits.pixels_max:
        megapixels = width * height / 1e6
        raise Undecodable(f"{width}x{height} pixels are {megapixels:.1f} megapixels; the limit is {_most(limits)}")
    if min(size) < limits.side_min or max(size) > limits.side_max:
        raise Undecodable(f"{width}x{height} pixels; a side must have {limits.side_min} to {limits.side_max}")


def _most(limits: Limits) -> str:
    """The pixel limit in megapixels, for a sentence."""
    return f"{limits.pixels_max / 1e6:g}"


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation; of broken EXIF, the upright one.

    HEIF turns by its container alone, EXIF there only informs: libheif has turned, and pillow_heif reports upright.
    """
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except PHOTO_ERRORS:
        return 1


def _fitted(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """The size reduced to the long side, never enlarged, never below one pixel."""
    factor = max(1.0, max(size) / long_side)
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def _shrunk(image: Image.Image, long_side: int) -> Image.Image:
    """The image reduced to the long side, by the cheapest filter that an eye cannot tell from Lanczos.

    Near 1:1 HAMMING blurs (SSIM 0.992, BICUBIC 0.997). From 1.3 on it is 0.997 or better for 60 % of BICUBIC's time:
    1500x2000 → 1080 takes 14 ms, BICUBIC 23, LANCZOS 32. From 3 on an exact halving first lets LANCZOS run on a
    quarter: 1080 → 320 takes 3.2 ms at 0.999, where HAMMING takes 3.0 at 0.987.
    """
    factor = max(image.size) / long_side
    if factor <= 1:
        return image
    size = _fitted(image.size, long_side)
    if factor >= 3:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=1.5)
    return image.resize(size, Image.Resampling.HAMMING if factor >= 1.3 else Image.Resampling.BICUBIC)


def _encoded(name: str, image: Image.Image) -> Rendition:
    """The image as the JPEG that the head of this file argues for."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=False, progressive=False)
    return Rendition(name=name, data=buffer.getvalue(), width=image.width, height=image.height)


def _thumbhash(image: Image.Image) -> str:
    """The image's ThumbHash (evanw.github.io/thumbhash), base64."""
    tiny = image.resize(_fitted(image.size, THUMBHASH_SIDE), Image.Resampling.BOX).convert("RGBA")
    return base64.b64encode(bytes(thumbhash.rgba_to_thumb_hash(tiny.width, tiny.height, tiny.tobytes()))).decode()
