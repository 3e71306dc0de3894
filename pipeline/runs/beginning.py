"""The images that ``sample --image`` begins from, and how they stand beside the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..diffusion.lettering import font_for
from ..diffusion.levels import levels
from ..diffusion.painting import Painting
from ..errors import InputError
from ..plugin.contracts import Schedule, Spacing
from ..records import Plain
from .asked import Layout, SampleOptions
from .given import Given, Room, read_images, read_masks

STRENGTH = 0.6
"""How strongly images are changed where it is not said; with a mask it is 1."""

HIDDEN = 128
"""The grey that shows in the grid what is drawn anew."""


@dataclass(frozen=True, eq=False)
class Beginning:
    """Images to begin from, as they were given and as the model takes them."""

    given: Given
    masks: list[dict[str, str]]
    """Names and digests; empty without a mask."""
    painting: Painting

    def told(self) -> Plain:
        """What ``samples.json`` says of it; image i is of the i-th in turn."""
        masks = {"mask": self.masks} if self.masks else {}
        return {"image": self.given.told(), "strength": self.painting.strength, **masks}

    def sheet(
        self, results: Tensor, layout: Layout, captions: Sequence[str] | None
    ) -> tuple[Tensor, tuple[int, int], list[str]]:
        """All pictures of the grid, its columns and rows, and what stands below each picture.

        Left of the first results of an image is the image, with a mask twice: as it is, and without
        what is drawn anew. ``results`` are those that the layout shows, one row after another.
        """
        blank = torch.full_like(self.painting.images[0], 255)
        pictures, texts, shown, done = [], list[str](), 0, set[int]()
        for line in layout.lines:
            number = line[0] % layout.given
            left = self._left(number)
            if number in done:
                left = [(blank, "")] * len(left)
            done.add(number)
            cells = [*left]
            for place, image in enumerate(range(shown, shown + len(line))):
                cells.append((results[image], captions[shown + place] if captions else ""))
            shown += len(line)
            cells += [(blank, "")] * (len(left) + layout.grid[0] - len(cells))
            pictures += [picture for picture, _ in cells]
            texts += [text for _, text in cells]
        columns = layout.grid[0] + len(self._left(0))
        return torch.stack(pictures), (columns, len(layout.lines)), texts

    def _left(self, number: int) -> list[tuple[Tensor, str]]:
        image, mask = self.painting.images[number], self.painting.mask
        name = Path(self.given.names[number]).stem
        own = [(image, name if font_for(name) else f"image {number + 1}")]
        if mask is None:
            return own
        return [*own, (torch.where(mask[number], HIDDEN, image), "mask")]


def beginning_of(
    options: SampleOptions, room: Room, num_steps: int, spacing: Spacing, schedule: Schedule
) -> Beginning:
    """The images that are asked for. InputError for other things, and masks that do not fit."""
    assert options.image is not None
    if options.mask is not None and room.latent:
        raise InputError(
            "mask: this run's model draws in the space of its codec, where single pixels cannot be "
            "kept; leave out the mask, or take a run that draws pixels"
        )
    given, mask = read_images(options.image, room), None
    told: list[dict[str, str]] = []
    if options.mask is not None:
        mask, told = read_masks(options.mask, given, room)
    strength = options.strength or (STRENGTH if mask is None else 1.0)
    down = levels(schedule, num_steps, spacing, strength)
    return Beginning(given, told, Painting(given.pixels, down, strength, mask))
