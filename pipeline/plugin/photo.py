"""Image files as upright RGB pictures, without torch."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageOps, __version__, features

from ..errors import BUSY, Failed, InputError, errno_of, fault_of
from .depth import eight_bits

# Above 89 megapixels Pillow warns, with its own file and line; above twice as many it refuses.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def decoder_versions() -> dict[str, str | None]:
    """Versions of what decodes photos: another may round the pixels of a JPEG in another way."""
    lossy = ("jpg", "libjpeg_turbo", "jpg_2000", "webp", "avif")
    versions = {name: features.version(name) for name in lossy if name in features.get_supported()}
    heif = {"pillow_heif": version("pillow-heif")} if find_spec("pillow_heif") else {}
    return {"pillow": __version__, "16 bits": "rounded", **versions, **heif}


def open_rgb(
    picture: Path | Image.Image, before: Callable[[int], None] = lambda pixels: None
) -> Image.Image:
    """Upright and RGB: EXIF rotation applied, transparency over white, greyscale as three channels.

    16 bits a channel are rounded to 8. Raises InputError, with the file and the reason, for what
    cannot be decoded completely or has still more bits: it would have to be guessed which of its
    values is white. Failed where the machine cannot read. ``before`` is told how many pixels will
    be decoded.
    """
    if isinstance(picture, Image.Image):
        before(picture.width * picture.height)
        return _rgb(eight_bits(picture))
    if not picture.is_file():
        raise InputError(f"{picture}: {'not a file' if picture.exists() else 'not there'}")
    try:
        _enable(picture.suffix.lower())
        with Image.open(picture) as image:
            before(image.width * image.height)
            return _rgb(eight_bits(image))
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
        if errno_of(error) in (errno.EIO, *BUSY):  # the machine's fault, not the photo's
            raise Failed(f"{picture}: {fault_of(error)}") from error
        # Pillow repeats the path in some messages.
        reason = str(error).removesuffix(repr(str(picture))).strip() or type(error).__name__
        raise InputError(f"{picture}: {reason}") from error


def _enable(suffix: str) -> None:
    """Let Pillow open files of this kind. InputError where something has to be installed."""
    if suffix in (".heic", ".heif", ".hif"):
        if not find_spec("pillow_heif"):
            raise InputError("HEIC needs pillow-heif: pip install 'diffusion-pipeline[photos]'")
        import pillow_heif  # the extra may be missing

        pillow_heif.register_heif_opener()
    elif suffix == ".avif" and "avif" not in features.get_supported():
        raise InputError("AVIF needs Pillow 11.3 or newer: pip install -U pillow")


def _rgb(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
