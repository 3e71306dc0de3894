"""How many photos are in memory at a time: their pixels are bounded, not only their number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..progress import note
from ..system import c_library

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
    def of_photo(self, name: str) -> Iterator[Callable[[int], None]]:
        """Gives what is to be called with the photo's pixels, and waits until there is room.

        The room is free again when the block ends. The first large photo is told.
        """
        taken: list[int] = []

        def take(pixels: int) -> None:
            self._take(pixels, name)
            taken.append(pixels)

        try:
            yield take
        finally:
            for pixels in taken:
                self._free(pixels)

    def _take(self, pixels: int, name: str) -> None:
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

    def _free(self, pixels: int) -> None:
        large = pixels > LARGE
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
    with suppress(AttributeError):
        c_library().malloc_trim(0)  # type: ignore[union-attr]
