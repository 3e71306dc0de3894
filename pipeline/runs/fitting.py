"""Where training gets no memory: which batches of the same step would fit, found by trying."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ..artifacts.prepare import read_images
from ..artifacts.session import Session
from ..artifacts.train import train
from ..errors import Failed, OutOfMemory
from ..format import byte_size
from ..machine import has_memory
from ..progress import note
from ..recipe.schema import Recipe
from ..store.store import Artifact
from ..training.init import Init
from ..training.validate import Measure
from .cost import Measured, Work, measure, work_of
from .folder import RunFolder


def train_or_advise(
    recipe: Recipe,
    images: Artifact,
    encoded: Artifact,
    measures: Sequence[Measure],
    folder: RunFolder,
    session: Session,
    init: Init | None,
) -> Artifact:
    """``train``, and where a step gets no memory, Failed with batches that would fit."""
    try:
        return train(recipe, encoded, measures, folder.watch, session, init)
    except OutOfMemory as error:
        if session.world.size > 1:  # the others have their memory still: nothing can be tried
            raise Failed(
                f"{error}; make train.batch_size smaller, train.accumulate larger"
            ) from None
        said = str(error)
    # Only here, where the error is gone, is the memory free that its traceback held.
    gc.collect()
    if has_memory(session.device):
        getattr(torch, torch.device(session.device).type).empty_cache()
    work = work_of(folder.loaded.data, folder.plugins, session.device)
    work = replace(work, images=str(read_images(images).path))
    raise Failed(f"{said}; {_advice(work)}")


def measure_or_advise(work: Work) -> Measured:
    """``measure``, and where a step gets no memory, Failed with batches that would fit."""
    try:
        return measure(work)
    except OutOfMemory as error:
        raise Failed(f"{error}; {_advice(work)}") from None


def _advice(work: Work) -> str:
    """The largest smaller batch that a step had memory for, by half, a quarter and so on."""
    train = work.recipe["train"]
    for batch_size in _smaller(train["batch_size"]):
        note(f"out of memory: trying train.batch_size {batch_size}")
        accumulate = train["accumulate"] * train["batch_size"] // batch_size
        try:
            taken = measure(_with_batches(work, batch_size))["taken"]
        except OutOfMemory:
            continue
        except Failed as error:
            return f"smaller batches could not be tried: {str(error).splitlines()[-1]}"
        where = "on the device" if has_memory(work.device) else "by a process in all"
        return (
            f"train.batch_size={batch_size} and train.accumulate={accumulate} make the same step, "
            f"as another training, and fit: {byte_size(taken)} taken {where} when just tried"
        )
    return (
        "not even one image at a time fits, as tried: make the images or the network smaller, "
        "or allow more memory"
    )


def _smaller(batch_size: int) -> Iterator[int]:
    """Half of it, a quarter and so on; where that does not divide it, the next that does."""
    smaller = batch_size
    while smaller > 1:
        smaller = next(n for n in range(smaller // 2, 0, -1) if batch_size % n == 0)
        yield smaller


def _with_batches(work: Work, batch_size: int) -> Work:
    """A first step and a second, where the optimizer's state is there too, of two batches each.

    More batches in a step take time and no more memory.
    """
    train = {**work.recipe["train"], "batch_size": batch_size, "accumulate": 2}
    return replace(work, recipe={**work.recipe, "train": train}, steps=1, num_steps=None)
