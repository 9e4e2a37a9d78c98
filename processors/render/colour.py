"""Any pixel layout and any profile in, 8-bit sRGB out.

Two steps, so that the costly one runs on few pixels: `flattened` brings every mode to one that can be resampled
(L, RGB or CMYK, no alpha), and after the reduction `to_srgb` applies the embedded ICC profile. A profile that lcms
cannot use counts as absent, and a photo without one counts as sRGB: a wrong tint is better than a lost post.
This file does not know sizes, orientation or encodings.
"""

import io

from PIL import Image, ImageCms

WHITE = (255, 255, 255)
# What lcms and Pillow raise for a profile that is not one, or does not fit the pixels.
PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, SyntaxError)
# A profile that moves no probe colour further than this is sRGB for an eye; see `_is_identity`.
IDENTITY_STEPS_MAX = 2
# A press profile has 2 MB, a phone's 600 bytes. A chain of 10,000 float elements in 130 KB takes lcms 9 CPU seconds.
PROFILE_BYTES_MAX = 4 << 20
PROFILE_CHAIN = b"mpet"


def flattened(image: Image.Image) -> Image.Image:
    """The same picture as L, RGB or CMYK: palette resolved, 16 bits brought to 8, alpha laid onto white."""
    if image.mode.startswith("I"):
        # convert("L") would clip 16-bit grey at 255 instead of scaling it; a colour key means nothing afterwards.
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


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture of mode L, RGB or CMYK as RGB in the sRGB space, its pixels read through `profile`."""
    if profile and len(profile) <= PROFILE_BYTES_MAX and PROFILE_CHAIN not in profile:
        try:
            return _through(profile, image)
        except PROFILE_ERRORS:
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def _through(profile: bytes, image: Image.Image) -> Image.Image:
    """The picture after the profile's transform, which is left out where it would change nothing.

    Most phones tag sRGB as such. lcms does not notice: 28 ms for 3 MP, as much as decoding, reducing and encoding
    together; building the transform and trying it on 729 colours is 1.2 ms, and it believes no profile's name.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    if image.mode == "RGB" and _is_identity(transform):
        return image
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("lcms gave no picture")
    return converted


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the RGB transform leaves a 9x9x9 cube of colours where it was."""
    steps = [*range(0, 256, 32), 255]
    cube = bytes(channel for red in steps for green in steps for blue in steps for channel in (red, green, blue))
    before = Image.frombytes("RGB", (27, 27), cube)
    after = ImageCms.applyTransform(before, transform)
    if after is None:
        return False
    return all(abs(a - b) <= IDENTITY_STEPS_MAX for a, b in zip(cube, after.tobytes(), strict=True))
