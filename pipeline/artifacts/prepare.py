"""A dataset to images: decoded, preprocessed, split and kept as uint8 in one HDF5 file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image as Picture

from ..diffusion.grid import to_tensor
from ..diffusion.images import Bytes, Images
from ..errors import InputError
from ..format import image_size
from ..machine import cores
from ..plugin.data import Dataset, Preprocessor, Source
from ..plugin.photo import decoder_versions, open_rgb
from ..plugin.stage import options_of
from ..progress import note, track
from ..recipe.load import usual_preprocess
from ..recipe.schema import Recipe, Split
from ..records import Plain
from ..store.hdf5 import as_texts, check_disk, writing
from ..store.store import Artifact
from ..store.unchanged import Unchanged
from .files import IMAGES
from .room import LARGE, Room, give_back
from .session import Session
from .split import check_halves, halves
from .unusable import LEFT_OUT, Some, Unusable, keep_unusable, listed, reasons_in

T = TypeVar("T")
R = TypeVar("R")

TOGETHER, CHUNKS = 8, 16
"""Images that a thread makes in one go, and chunks that are written in one: with fewer, the threads
spend a third of the time on waiting for each other."""


def prepare(recipe: Recipe, session: Session) -> Artifact:
    """The images of a recipe, which ``read_images`` reads.

    InputError names all that cannot be used, unless the recipe leaves them out.
    """
    preparation = Preparation(recipe.dataset, recipe.preprocess, recipe.split, session)
    if recipe.on_error == "skip":
        return preparation.what_can_be_used()
    try:
        return preparation.all_images()
    except Unusable as error:
        advice = "Or leave them out: on_error: skip in the recipe's dataset."
        raise InputError(f"{error}\n{advice}") from error


def prepare_images(
    dataset: Dataset, preprocess: Sequence[Preprocessor], session: Session
) -> Artifact:
    """All images of a dataset, all of them as training images. Unusable, an InputError."""
    return Preparation(dataset, preprocess, None, session).all_images()


class Preparation:
    """A dataset that is about to be prepared, and the ingredients of all of its images."""

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Sequence[Preprocessor],
        split: Split | None,
        session: Session,
    ) -> None:
        """Without a ``split`` all images count as training images."""
        self.source, self.preprocess, self.split = dataset(), preprocess, split
        for remark in getattr(self.source, "remarks", ()):
            note(remark)
        self.store, self.files = session.store, Unchanged(session.store.digest)
        content = {"content": self.source.fingerprint(self.files.digest)}
        self.ingredients = {
            "dataset": session.registry.describe(dataset) | content,
            "preprocess": [session.registry.describe(stage) for stage in preprocess],
            "split": options_of(split) if split else None,
            "versions": _versions(preprocess),
            "inputs": {},
        }

    def all_images(self) -> Artifact:
        """The images; Unusable for some that cannot be used."""
        return self.store.get_or_build("images", self.ingredients, self._build)

    def what_can_be_used(self) -> Artifact:
        """The images without those that cannot be used, which are told."""
        unusable = None
        if not self.store.fresh:
            unusable = self.store.find("unusable", self.ingredients)
        if not unusable:
            try:
                return self.all_images()
            except Unusable as error:
                unusable = keep_unusable(self.store, self.ingredients, error.reasons)
        reasons, count = reasons_in(unusable), len(self.source)
        if len(reasons) == count:
            raise Unusable(reasons, count)
        note(f"left out: {len(reasons)} of {count} images:{listed(reasons.values())}")
        gaps = {"left out": sorted(reasons), "inputs": {LEFT_OUT: unusable.key}}
        left = [index for index in range(count) if index not in reasons]
        return self.store.get_or_build(
            "images", {**self.ingredients, **gaps}, lambda folder: self._build(folder, left)
        )

    def _build(self, folder: Path, left: Sequence[int] | None = None) -> None:
        # The split is drawn before images are left out: no other image changes its half.
        validation = np.zeros(len(self.source), dtype=bool)
        if self.split:
            validation = halves(self.source, self.split)
        source: Source = self.source
        if left is not None:
            source, whole, validation = Some(source, left), validation, validation[left]
            check_halves(whole, validation)
        write_images(folder / IMAGES, source, self.preprocess, validation)
        self.files.check()


def _versions(preprocess: Sequence[Preprocessor]) -> Plain:
    """Versions of what decodes and preprocesses: another may round in another way.

    A new one makes the images anew. Where they come out the same, all that was made of them stays.
    """
    resizer = {"torch": torch.__version__} if preprocess else {}
    return {**decoder_versions(), **resizer}


def read_images(images: Artifact) -> Images:
    """The reader of prepared images."""
    return Images(images.path / IMAGES)


@torch.inference_mode()
def preprocessed(
    picture: Path | Picture,
    preprocess: Iterable[Preprocessor],
    before: Callable[[int], None] = lambda pixels: None,
) -> Bytes:
    """Decode once, preprocess in float32, round once. uint8 (C, H, W).

    ``before`` is told how many pixels will be decoded.
    """
    pixels = np.array(open_rgb(picture, before))
    if pixels.size > LARGE:
        give_back()  # the picture's memory, before four times as much is needed
    image = to_tensor(pixels)
    del pixels
    for stage in preprocess:
        image = stage(image)
    result: Bytes = image.clamp(0, 1).mul_(255).round_().byte().contiguous().numpy()
    return result


def write_images(
    path: Path,
    source: Source,
    preprocess: Sequence[Preprocessor],
    validation: npt.NDArray[np.bool_],
) -> None:
    """Prepare all images on all cores into a new HDF5 file, closed and verified.

    One InputError names every image that cannot be used, or two that differ in shape.
    """

    room = Room()

    def work(index: int) -> Bytes | InputError:
        try:
            picture = source.image(index)
            with room.of_photo(str(picture)) as take:
                return preprocessed(picture, preprocess, take)
        except InputError as error:
            return error

    count = len(source)
    with writing(path) as file, _one_torch_thread():
        results = track(_in_order(work, range(count), cores()), "prepare images", total=count)
        _write_pixels(file, source, results)
        file["labels"] = np.array([-1 if n is None else n for n in source.labels], np.int64)
        file["validation"] = validation
        file["class_names"] = as_texts(source.class_names)
    if len(Images(path)) != count:
        raise OSError(f"{path}: {len(Images(path))} images were written, not {count}")


def _write_pixels(file: h5py.File, source: Source, results: Iterable[Bytes | InputError]) -> None:
    """Into the dataset ``images`` (N, C, H, W); a few images at a time are in memory."""
    count = len(source)
    failures: dict[int, str] = {}
    block: list[Bytes] = []
    data, many, shape = None, 0, ()
    for index, pixels in enumerate(results):
        if isinstance(pixels, InputError):
            failures[index] = str(pixels)
        elif not failures:
            if data is None:
                shape = pixels.shape
                data = _create(file, count, shape)
                many = CHUNKS * data.chunks[0]
            if pixels.shape != shape:
                raise _different(source, index, pixels.shape, shape)
            block.append(pixels)
            if len(block) == many or index + 1 == count:
                data[index + 1 - len(block) : index + 1] = np.stack(block)
                block.clear()
                check_disk(file)
    if failures:
        raise Unusable(failures, count)


def _create(file: h5py.File, count: int, shape: tuple[int, ...]) -> h5py.Dataset:
    """Chunks of about 64 KiB: small enough for single images, large enough for all of them."""
    images = min(64, count, max(1, 2**16 // int(np.prod(shape))))
    return file.create_dataset(
        "images", (count, *shape), np.uint8, chunks=(images, *shape), fletcher32=True
    )


def _different(
    source: Source, index: int, shape: tuple[int, ...], first: tuple[int, ...]
) -> InputError:
    return InputError(
        f"after preprocessing, {_name(source, 0)} is {_size(first)} and {_name(source, index)} is "
        f"{_size(shape)}, but all images need one size: preprocess: {usual_preprocess()}"
    )


def _name(source: Source, index: int) -> str:
    image = source.image(index)
    return str(image) if isinstance(image, Path) else f"image {index}"


def _size(shape: tuple[int, ...]) -> str:
    return f"{image_size(shape)} ({shape[0]} channels)"


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Each of our threads keeps one core busy: more of torch's own would only get in the way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_order(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Results of ``work`` on threads, in the order of ``items``; few are in flight at a time."""
    left, pending = iter(items), deque[Future[list[R]]]()
    pool = ThreadPoolExecutor(workers)
    try:
        while group := list(islice(left, TOGETHER)):
            pending.append(pool.submit(lambda group: list(map(work, group)), group))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # interrupted: what has not begun is left
