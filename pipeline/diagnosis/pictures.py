"""What generated images tell beside real ones. Images are uint8 (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, TypedDict

from .finding import Finding

if TYPE_CHECKING:
    from torch import Tensor

ALIKE = 0.5
"""Spread of samples over that of real images: 1.2 for recipes/flowers32_small.yaml, and 0.8 for
what is left of the photos at 4×4 pixels."""

WASHED_OUT = 0.5
"""Contrast, or saturation, of samples over that of real images: photos at 4×4 pixels have 0.7."""

NEAR = 0.5
"""A copy's distance to its nearest training image over a validation image's."""

ALONE = 0.6
"""A copy's distance to its nearest training image over that to its third. A blurred image may be
near to many; only a copy is near to one (as in Carlini et al. 2023,
https://arxiv.org/abs/2301.13188, section 4.2)."""

COPIES = 0.05
"""The share of copies among samples. As many validation images may have a twin in training: two
photos of one flower."""


class NearestRecord(TypedDict):
    """The training images that are nearest to one sample, the nearest first."""

    sample: int
    """Its number, from 0."""
    indices: list[int]
    """Where the training images stand among all prepared images."""
    distances: list[float]


class NeighboursRecord(TypedDict):
    """``neighbours.json``: how near samples and validation images are to training images."""

    unit: str
    """What a distance is, in words."""
    items: list[NearestRecord]
    validation: list[float]
    """Distances of validation images to their nearest training image: what is usual."""


def spread(images: Tensor) -> float:
    """Root mean square deviation from the mean image: how much images differ from each other."""
    return float(images.float().var(0, correction=0).mean() ** 0.5)


def contrast(images: Tensor) -> float:
    """Mean deviation of brightness, the mean of the channels, within an image."""
    return float(images.float().mean(1).flatten(1).std(1, correction=0).mean())


def saturation(images: Tensor) -> float:
    """Mean difference of a pixel's largest and smallest channel."""
    return float((images.amax(1).float() - images.amin(1).float()).mean())


def all_alike(samples: Tensor, real: Tensor) -> Finding | None:
    """Samples differ from each other much less than real images do."""
    if len(samples) < 2 or spread(samples) >= ALIKE * spread(real):
        return None
    return Finding(
        "samples all alike",
        f"pixels of the samples deviate by {spread(samples):.0f} of 255 from their mean image, "
        f"those of validation images by {spread(real):.0f}.",
        "Train longer or with a higher train.optimizer.lr if the loss still falls; sample with "
        "more steps (sample.num_steps) and with sample.guidance_scale 1.",
    )


def washed_out(samples: Tensor, real: Tensor) -> Finding | None:
    """Samples have much less contrast or colour than real images."""
    both = {
        name: (measure(samples), measure(real))
        for name, measure in {"contrast": contrast, "saturation": saturation}.items()
    }
    pale = {name: pair for name, pair in both.items() if pair[0] < WASHED_OUT * pair[1]}
    if not pale:
        return None
    numbers = " and ".join(
        f"{name} {a:.0f} (validation images: {b:.0f})" for name, (a, b) in pale.items()
    )
    return Finding(
        "samples washed out",
        f"they have {numbers}, of 255.",
        "Train longer, and sample with more steps (sample.num_steps). Sampling starts from noise "
        "alone: a schedule that leaves signal at its end should leave less.",
    )


def copying(neighbours: NeighboursRecord) -> Finding | None:
    """More samples than validation images are copies of a training image."""
    validation, items = neighbours["validation"], neighbours["items"]
    usual = median(validation)
    nearest = [item["distances"][0] for item in items]
    copies = [item["sample"] for item in items if _is_copy(item["distances"], usual)]
    twins = sum(distance < NEAR * usual for distance in validation)
    if len(copies) / len(items) <= max(COPIES, 2 * twins / len(validation)):
        return None
    numbers = ", ".join([*map(str, copies[:5]), *["…"] * (len(copies) > 5)])
    return Finding(
        "copying",
        f"{len(copies)} of {len(items)} samples ({numbers}) are nearly training images: "
        f"{median(nearest):.3g} is the median distance to the nearest one, of validation images "
        f"{usual:.3g} ({neighbours['unit']}).",
        "Train on more images, for fewer steps, or with a smaller backbone; augment the "
        "images (the recipe's section augment).",
    )


def _is_copy(distances: Sequence[float], usual: float) -> bool:
    """Whether a sample at these distances to its nearest training images, ascending, is a copy."""
    alone = len(distances) == 1 or distances[0] < ALONE * distances[-1]
    return distances[0] < NEAR * usual and alone
