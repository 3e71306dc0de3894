"""How many photos are in memory at a time: their pixels are bounded, not only their number."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from ..progress import note

LARGE = 16_000_000
"""Pixels above which a photo is read while no other so large one is."""
MOST = 144_000_000
"""Pixels of all photos that are read at the same time; a larger photo is read alone. Decoding and
preprocessing take about 22 bytes a pixel."""


class Room:
    """Lets photos in as long as there is room for their pixels. Thread-safe."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._pixels, self._large, self._told = 0, False, False

    @contextmanager
    def holding(self, pixels: int, name: str) -> Iterator[None]:
        """Wait for room, and take it as long as the block runs. The first large photo is told."""
        large = pixels > LARGE
        with self._change:
            if large and not self._told:
                note(
                    f"{name}: {pixels / 1e6:.0f} megapixels: photos so large are read one at a time"
                )
                self._told = True
            self._change.wait_for(lambda: self._fits(pixels, large))
            self._pixels += pixels
            self._large |= large
        try:
            yield
        finally:
            if large:
                give_back()
            with self._change:
                self._pixels -= pixels
                self._large &= not large
                self._change.notify_all()

    def _fits(self, pixels: int, large: bool) -> bool:
        if large and self._large:
            return False
        return not self._pixels or self._pixels + pixels <= MOST


def give_back() -> None:
    """Return freed memory to the system where the C library would keep it, for each thread."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def pixels_of(picture: Path | Image.Image) -> int:
    """The pixels of a picture, by its file's header; 0 where that cannot be read."""
    if isinstance(picture, Image.Image):
        return picture.width * picture.height
    if not picture.is_file():  # a pipe would be waited for
        return 0
    try:
        with Image.open(picture) as image:
            return image.width * image.height
    except Exception:  # Pillow raises whatever the damage leads it to; decoding tells of it
        return 0
