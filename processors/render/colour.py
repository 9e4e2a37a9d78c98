"""Converts any pixel layout and colour profile to 8-bit sRGB.

There are two steps, so that the expensive one runs on fewer pixels: `flattened` converts every mode to one that can be
resampled (L, RGB or CMYK, no alpha), and after the reduction `to_srgb` applies the embedded ICC profile, or the code
points that stand for one (`code_points.py`). A profile that lcms cannot use is ignored, and a photo without either
counts as sRGB: a wrong tint is better than a lost post.
This file does not know sizes, orientation or encodings.
"""

import io

from PIL import Image, ImageCms

from .code_points import converted

WHITE = (255, 255, 255)
# The errors of lcms and Pillow for a profile that is malformed or does not match the pixels.
PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, SyntaxError)
# A profile that changes no tested colour by more steps than this is visually sRGB; see `_is_identity`.
IDENTITY_STEPS_MAX = 2
# A press profile has 2 MB, a phone's 600 bytes. Profiles with a chain of elements (`mpet`) are ignored: 10,000 float
# elements in 130 KB take lcms 9 CPU seconds.
PROFILE_BYTES_MAX = 4 << 20
PROFILE_CHAIN = b"mpet"


def flattened(image: Image.Image) -> Image.Image:
    """The same picture as L, RGB or CMYK: palette resolved, 16 bits scaled to 8, alpha composed onto white."""
    if image.mode.startswith("I"):
        # convert("L") would clip 16-bit grey at 255 instead of scaling it. A colour key is invalid after scaling.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
        image.info.pop("transparency", None)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        opaque = Image.new("RGB", image.size, WHITE)
        opaque.paste(image, mask=image.getchannel("A"))
        return opaque
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def to_srgb(image: Image.Image, profile: bytes | None, code_points: tuple[int, int] | None = None) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK from its colour `profile`, else by its code points, to RGB in sRGB."""
    if profile and len(profile) <= PROFILE_BYTES_MAX and PROFILE_CHAIN not in profile:
        try:
            return _through(profile, image)
        except PROFILE_ERRORS:
            pass
    image = image if image.mode == "RGB" else image.convert("RGB")
    return converted(image, code_points) if code_points else image


def _through(profile: bytes, image: Image.Image) -> Image.Image:
    """Apply the profile's transform, unless the transform would change nothing."""
    # Most phones embed an sRGB profile, and lcms does not detect it: the transform takes 28 ms for 3 MP, as much as
    # decoding, reducing and encoding together. Testing it on 729 colours takes 1.2 ms and trusts no profile's name.
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    if image.mode == "RGB" and _is_identity(transform):
        return image
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("lcms gave no picture")
    return converted


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the RGB transform changes no colour of a 9x9x9 cube by more than `IDENTITY_STEPS_MAX`."""
    steps = [*range(0, 256, 32), 255]
    cube = bytes(channel for red in steps for green in steps for blue in steps for channel in (red, green, blue))
    before = Image.frombytes("RGB", (27, 27), cube)
    after = ImageCms.applyTransform(before, transform)
    if after is None:
        return False
    return all(abs(a - b) <= IDENTITY_STEPS_MAX for a, b in zip(cube, after.tobytes(), strict=True))
