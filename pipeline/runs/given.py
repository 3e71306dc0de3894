"""Images and masks as a user gives them: files, folders, pictures, arrays, tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..artifacts.prepare import preprocessed
from ..errors import InputError
from ..plugin.data import Codec, LatentCodec, Preprocessor
from ..plugin.photo import open_rgb
from ..plugin.registry import Registry
from ..progress import note, track
from ..recipe.load import load_folder
from ..store.fingerprints import sha256_of

Photo = str | Path | Image.Image | npt.NDArray[Any] | Tensor
"""A file or a folder of them, a picture, uint8 (H, W, 3), or uint8 (C, H, W) or (N, C, H, W)."""

Photos = Photo | Sequence[Photo]

Size = tuple[int, int]
"""Width and height."""

WHITE = 128
"""From this grey level on a mask is white."""


@dataclass(frozen=True)
class Room:
    """What a run takes: how images get into it, and of what shape they are there."""

    shape: tuple[int, int, int]
    """(C, H, W) of the model's images."""
    preprocess: Sequence[Preprocessor]
    registry: Registry
    codec: Codec | None = None

    @property
    def latent(self) -> bool:
        """Whether the model draws in another space than that of pixels."""
        return isinstance(self.codec, LatentCodec)

    @property
    def size(self) -> Size:
        """That of the model's images."""
        return self.shape[2], self.shape[1]

    @property
    def wanted(self) -> str:
        """The form of tensors, for messages."""
        return f"uint8 (N, {', '.join(map(str, self.shape))})"


@dataclass(frozen=True, eq=False)
class Given:
    """Images as a run has its own, and where they are from."""

    pixels: Tensor
    """uint8 (N, C, H, W)."""
    names: list[str]
    """A file's path, or the place of an image among those that were given."""
    digests: list[str]
    """The SHA-256 of a file, else of the pixels."""
    sizes: list[Size | None]
    """Upright, before they were preprocessed; None where they were not."""

    def told(self) -> list[dict[str, str]]:
        """Names with digests, for ``samples.json``."""
        pairs = zip(self.names, self.digests, strict=True)
        return [{"image": name, "sha256": digest} for name, digest in pairs]


def read_images(images: Photos, room: Room) -> Given:
    """Images, each preprocessed as the run's own; tensors are taken as they are.

    Folders are read as ``pipeline evaluate`` reads them. InputError for what is no image, and for
    images that do not come out in the model's shape.
    """
    pixels, names, digests, sizes = [], list[str](), list[str](), list[Size | None]()
    photos = list(_each(images, room))
    for photo in track(photos, "read images", len(photos)):
        name = _name(photo, f"image {len(names) + 1}")
        if isinstance(photo, Tensor):
            if photo.dtype != torch.uint8 or photo.shape != room.shape:
                raise InputError(_unlike(photo, room))
            image, size = photo.cpu(), None
        else:
            picture = _picture(photo, name, room)
            image, size = _prepared(picture, name, room), picture.size
        pixels.append(image)
        names.append(name)
        sizes.append(size)
        digests.append(_digest(photo, image))
    if not pixels:
        raise InputError(_unlike(images, room))
    return Given(torch.stack(pixels), names, digests, sizes)


def read_masks(masks: Photos, given: Given, room: Room) -> tuple[Tensor, list[dict[str, str]]]:
    """bool (N, 1, H, W), true where images are drawn anew, and names with digests.

    One mask is for all images, else there is one for each. It has the size of its image, and is
    cropped and resized with it, or the size of the model's images. From the grey level ``WHITE`` on
    it is white. InputError for other masks, and for one without white.
    """
    made: list[npt.NDArray[np.uint8]] = []
    told = []
    for number, mask in enumerate(_each_mask(masks, room)):
        name = _name(mask, f"mask {number + 1}")
        made.append(_grey(mask, name))
        told.append({"mask": name, "sha256": _digest(mask, torch.from_numpy(made[-1]))})
        if not (made[-1] >= WHITE).any():
            small = " (a mask of 0 and 1 should be of bool)" if made[-1].max() == 1 else ""
            raise InputError(
                f"{name}: this mask is black all over{small}: white is drawn anew, black is kept"
            )
    count = len(given.names)
    if len(made) not in (1, count):
        raise InputError(f"{len(made)} masks for {count} images: give one for all, or one for each")
    names = [one["mask"] for one in told]
    anew = torch.stack(
        [_fitted(made[i % len(made)], names[i % len(made)], given, i, room) for i in range(count)]
    )
    share = 100 * float(anew.float().mean())
    note(f"mask: {share:.0f} % of the pixels are drawn anew, the rest is kept")
    return anew, told


def _each(images: object, room: Room) -> Iterator[Photo]:
    """Single images; the files of a folder are in the order of their names."""
    if isinstance(images, list | tuple):
        for image in images:
            yield from _each(image, room)
    elif isinstance(images, str | Path):
        path = Path(images).expanduser()
        if path.is_dir():
            source = load_folder(path, None, room.registry).dataset()
            for remark in getattr(source, "remarks", ()):
                note(remark)
            yield from (source.image(i) for i in range(len(source)))
        else:
            yield path
    elif isinstance(images, Tensor | np.ndarray) and images.ndim == 4:
        yield from images
    elif isinstance(images, Tensor | np.ndarray | Image.Image):
        yield images
    else:
        raise InputError(_unlike(images, room))


def _each_mask(masks: Photos, room: Room) -> Iterator[Photo]:
    """Single masks; tensors are (H, W), (N, H, W) or (N, C, H, W)."""
    if isinstance(masks, Tensor):
        stack = masks.cpu().numpy()
        stack = stack.max(axis=1) if stack.ndim == 4 else stack
        yield from stack if stack.ndim == 3 else [stack]
    else:
        yield from _each(masks, room)


def _picture(photo: Photo, name: str, room: Room) -> Image.Image:
    """An upright RGB picture."""
    if isinstance(photo, np.ndarray):
        photo = photo[..., 0] if photo.ndim == 3 and photo.shape[2] == 1 else photo
        if photo.dtype != np.uint8 or photo.shape[2:] not in ((), (3,), (4,)) or photo.ndim < 2:
            raise InputError(
                f"{name}: an array should be uint8 (height, width, 3), got {got(photo)}"
            )
        photo = Image.fromarray(np.ascontiguousarray(photo))
    if isinstance(photo, str | Tensor):
        raise TypeError(photo)
    return open_rgb(photo)


def _prepared(picture: Image.Image, name: str, room: Room) -> Tensor:
    image = torch.from_numpy(preprocessed(picture, room.preprocess))
    if image.shape != room.shape:
        (channels, height, width), (own, high, wide) = image.shape, room.shape
        raise InputError(
            f"{name}: after the run's preprocessing it is {width}×{height} with {channels} "
            f"channels, but the model's images are {wide}×{high} with {own}: give one of this size"
        )
    return image


def _grey(mask: Photo, name: str) -> npt.NDArray[np.uint8]:
    """uint8 (H, W); truth values are 0 and 255."""
    if isinstance(mask, np.ndarray):
        grey = mask * np.uint8(255) if mask.dtype == bool else mask
        grey = grey.max(axis=2) if grey.ndim == 3 else grey
        if grey.dtype != np.uint8 or grey.ndim != 2:
            raise InputError(
                f"{name}: an array should be uint8 or bool (height, width), got {got(mask)}"
            )
        return grey
    if isinstance(mask, str | Tensor):
        raise TypeError(mask)
    return np.array(open_rgb(mask).convert("L"))


def _fitted(mask: npt.NDArray[np.uint8], name: str, given: Given, index: int, room: Room) -> Tensor:
    """bool (1, H, W) of the model's size."""
    size, own = (mask.shape[1], mask.shape[0]), given.sizes[index]
    if size in (own, room.size):
        whole = torch.from_numpy(mask >= WHITE)[None]
        fitted = _with_its_image(mask, name, room) if size == own else whole
        if fitted.any():
            return fitted
        raise InputError(f"{name}: no white of this mask is left after the run's preprocessing")
    (width, height), (wide, high), (w, h) = size, own or room.size, room.size
    also = "" if own in (None, room.size) else f", or the model's, {w}×{h}"
    raise InputError(
        f"{name}: this mask is {width}×{height}, but {given.names[index]} is {wide}×{high}: a "
        f"mask has the size of its image{also}"
    )


def _with_its_image(mask: npt.NDArray[np.uint8], name: str, room: Room) -> Tensor:
    """A mask after the run's preprocessing, of which only what moves pixels changes it.

    What becomes of a black and of a white picture shows what the rest does to black and white.
    """
    black, white = np.zeros_like(mask), np.full_like(mask, 255)
    ends = np.where(mask >= WHITE, white, black)
    pictures = [Image.fromarray(values) for values in (ends, black, white)]
    found, low, high = (_prepared(p, name, room).float().mean(0) for p in pictures)
    seen = (high - low).abs() >= 1
    if not seen.any():
        w, h = room.size
        raise InputError(
            f"{name}: the run's preprocessing makes black and white alike; give a mask of the "
            f"model's size, {w}×{h}"
        )
    # Where both are alike, as in a margin that was added, nothing is of the image.
    return (seen & ((found - low) / torch.where(seen, high - low, 1) >= 0.5))[None]


def _name(photo: object, otherwise: str) -> str:
    return str(photo) if isinstance(photo, Path) else otherwise


def _digest(photo: Photo, pixels: Tensor) -> str:
    if isinstance(photo, Path):
        return sha256_of(photo)
    return hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()


def _unlike(images: object, room: Room) -> str:
    return (
        f"images should be files, folders, pictures, arrays uint8 (height, width, 3), or tensors "
        f"{room.wanted}, got {got(images)}"
    )


def got(given: object) -> str:
    """What was given instead, for messages."""
    if isinstance(given, Tensor | np.ndarray):
        return f"{given.dtype} {tuple(given.shape)}"
    if isinstance(given, list | tuple) and not given:
        return "none"
    return f"a {type(given).__name__}"
