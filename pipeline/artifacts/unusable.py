"""Images that cannot be used: told all at once, or left out where the recipe says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image as Picture

from ..errors import InputError
from ..plugin.data import Source
from ..store.checked import read_json, write_json
from ..store.store import Artifact, Store
from .files import UNUSABLE

LISTED = 20
"""Unusable images that a message lists; the others are counted."""

LEFT_OUT = "images that cannot be used"
"""The name, among the inputs of prepared images, of the artifact that lists those left out."""


class Unusable(InputError):
    """Names each image that cannot be used, with the reason."""

    def __init__(self, reasons: Mapping[int, str], count: int) -> None:
        """``reasons`` by the image's index; ``count`` images were looked at."""
        some = listed(reasons.values())
        super().__init__(
            f"{len(reasons)} of {count} images cannot be used; mend or remove them:{some}"
        )
        self.reasons = reasons


def listed(reasons: Iterable[str]) -> str:
    """Some reasons, a line each, and how many more there are."""
    lines = list(reasons)
    more = f"\n  and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "".join(f"\n  {line}" for line in lines[:LISTED]) + more


@dataclass(frozen=True)
class Some:
    """A source without the images that are left out."""

    source: Source
    indices: Sequence[int]
    """Those that stay, ascending."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> Sequence[int | None]:
        """As the source's."""
        return [self.source.labels[i] for i in self.indices]

    @property
    def parts(self) -> Sequence[str]:
        """As the source's."""
        return [self.source.parts[i] for i in self.indices]

    @property
    def class_names(self) -> Sequence[str]:
        """All, also those of which no image is left: a label means the same as without gaps."""
        return self.source.class_names

    def image(self, index: int) -> Path | Picture:
        """The image at this place of those that stay."""
        return self.source.image(self.indices[index])

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """As the source's: what is left out is known beside it."""
        return self.source.fingerprint(digest)


def keep_unusable(
    store: Store, ingredients: Mapping[str, object], reasons: Mapping[int, str]
) -> Artifact:
    """Store why images cannot be used, so that the next run need not decode all to find out.

    ``ingredients`` are those of all images of the dataset.
    """

    def build(folder: Path) -> None:
        write_json(folder / UNUSABLE, {"images": {str(i): why for i, why in reasons.items()}})

    return store.get_or_build("unusable", ingredients, build)


def reasons_in(unusable: Artifact) -> dict[int, str]:
    """Why images cannot be used, by their index in the dataset."""
    return {int(i): why for i, why in read_json(unusable.path / UNUSABLE)["images"].items()}


def left_out(images: Artifact, store: Store) -> list[str]:
    """Which images a prepared dataset does not have, and why."""
    key = images.manifest["ingredients"]["inputs"].get(LEFT_OUT)
    return list(reasons_in(store.open("unusable", key)).values()) if key else []
