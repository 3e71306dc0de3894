"""Names of classes in the pixels of a grid: fonts that have their letters, else the numbers."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont, features

from ..progress import note

SIZE = 11
"""Pixels of the letters."""

PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
"""What the extra ``fonts`` installs: Noto's fonts, one for each script."""

SHOWN = 3
"""Names that are told of those that no font has."""

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@lru_cache(maxsize=64)
def drawable(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of classes, and in place of those that no font has the numbers, which is told."""
    missing = [number for number, name in enumerate(names) if font_for(name) is None]
    if missing:
        told = ", ".join(f"{number} {names[number]}" for number in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" * (len(missing) > SHOWN)
        extra = "" if all(map(find_spec, PACKAGES)) else (
            "; with more fonts they are names: pip install 'diffusion-pipeline[fonts]'"
        )  # fmt: skip
        note(f"on grids these classes are numbers, as no font here has them: {told}{more}{extra}")
    return tuple(str(i) if i in missing else name for i, name in enumerate(names))


@lru_cache(maxsize=4096)
def font_for(text: str) -> Font | None:
    """The first font that has all of a text: Pillow's own, then those of the extra ``fonts``."""
    # Without Raqm, Pillow puts one letter after the other, from left to right.
    if not features.check("raqm") and any(map(_is_shaped, text)):
        return None
    for font in (usual_font(), *map(_opened, _files())):
        if all(has(font, letter) for letter in set(text)):
            return font
    return None


@lru_cache(maxsize=1)
def usual_font() -> Font:
    """Pillow's own, which has hardly more letters than English."""
    return ImageFont.load_default(SIZE)


@lru_cache(maxsize=4096)
def has(font: Font, letter: str) -> bool:
    """Whether a font has a letter: it draws another picture for it than for what it has not."""
    if unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f":
        return True  # it only joins its neighbours, or says how they look
    return bytes(font.getmask(letter)) != bytes(font.getmask("\U0010fffd"))


def _files() -> list[Path]:
    """Noto Sans first, then the fonts of single scripts in the order of their names."""
    found = [spec.submodule_search_locations for name in PACKAGES if (spec := find_spec(name))]
    folders = [Path(place) for places in found for place in places or ()]
    files = [file for folder in folders for file in sorted(folder.glob("*.tt[fc]"))]
    upright = [file for file in files if "Italic" not in file.name]
    return sorted(upright, key=lambda file: not file.name.startswith("NotoSans["))


@lru_cache(maxsize=64)
def _opened(file: Path) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(file, SIZE)
    with suppress(OSError):  # it has one weight
        font.set_variation_by_name("Regular")  # the first of Noto's CJK is a thin one
    return font


def _is_shaped(letter: str) -> bool:
    right_to_left = unicodedata.bidirectional(letter) in ("R", "AL", "AN")
    return right_to_left or unicodedata.category(letter).startswith("M")
