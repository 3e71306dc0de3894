"""Image files as upright RGB pictures, without torch."""

from __future__ import annotations

import errno
import warnings
from pathlib import Path

from PIL import Image, ImageOps, __version__, features

from ..errors import BUSY, Failed, InputError, errno_of, fault_of

# Above 89 megapixels Pillow warns, with its own file and line; above twice as many it refuses.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def decoder_versions() -> dict[str, str | None]:
    """Versions of what decodes photos: another may round the pixels of a JPEG in another way."""
    lossy = ("jpg", "libjpeg_turbo", "jpg_2000", "webp")
    return {"pillow": __version__, **{name: features.version(name) for name in lossy}}


def open_rgb(picture: Path | Image.Image) -> Image.Image:
    """Upright and RGB: EXIF rotation applied, transparency over white, greyscale as three channels.

    Raises InputError, with the file and the reason, for what cannot be decoded completely or has
    more than 8 bits a channel: it would have to be guessed which of its values is white. Failed
    where the machine cannot read.
    """
    if isinstance(picture, Image.Image):
        return _rgb(picture)
    if not picture.is_file():
        raise InputError(f"{picture}: {'not a file' if picture.exists() else 'not there'}")
    try:
        with Image.open(picture) as image:
            return _rgb(image)
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
        if errno_of(error) in (errno.EIO, *BUSY):  # the machine's fault, not the photo's
            raise Failed(f"{picture}: {fault_of(error)}") from error
        # Pillow repeats the path in some messages.
        reason = str(error).removesuffix(repr(str(picture))).strip() or type(error).__name__
        raise InputError(f"{picture}: {reason}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":  # I, I;16, F
        raise InputError(f"has more than 8 bits a channel (Pillow's mode {image.mode})")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
