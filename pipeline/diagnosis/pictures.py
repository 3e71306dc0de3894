"""What generated images tell beside real ones. Images are uint8 (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from torch import Tensor

from .finding import Finding

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
"""The share of copies among samples. Of validation images up to so many have a twin in training:
two photos of one flower."""


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
        "more steps (sample.num_steps) and with guidance_scale 1.",
    )


def washed_out(samples: Tensor, real: Tensor) -> Finding | None:
    """Samples have much less contrast or colour than real images."""
    found = {
        name: (measure(samples), measure(real))
        for name, measure in {"contrast": contrast, "saturation": saturation}.items()
    }
    pale = {name: pair for name, pair in found.items() if pair[0] < WASHED_OUT * pair[1]}
    if not pale:
        return None
    numbers = " and ".join(
        f"{name} {a:.0f} (validation images: {b:.0f})" for name, (a, b) in pale.items()
    )
    return Finding(
        "samples washed out",
        f"they have {numbers}, of 255.",
        "Train longer, and sample with more steps (sample.num_steps); with a schedule that ends "
        "with signal left, lower its min_signal_rate, so that sampling may start from noise alone.",
    )


def copying(found: Mapping[str, Any]) -> Finding | None:
    """More samples than validation images are copies of a training image.

    ``found`` is what ``neighbours.read_neighbours`` gives.
    """
    usual = median(found["validation"])
    first = [item["distances"][0] for item in found["items"]]
    copies = [item for item in found["items"] if _is_copy(item["distances"], usual)]
    twins = sum(distance < NEAR * usual for distance in found["validation"])
    share, among_real = len(copies) / len(first), twins / len(found["validation"])
    if share <= max(COPIES, 2 * among_real):
        return None
    numbers = ", ".join(str(item["sample"]) for item in copies[:5])
    return Finding(
        "copying",
        f"{len(copies)} of {len(first)} samples ({numbers}{', …' * (len(copies) > 5)}) are nearly "
        f"training images: {median(first):.3g} is the median distance to the nearest one, of "
        f"validation images {usual:.3g} ({found['unit']}).",
        "Train on more images, for fewer steps, or with a smaller backbone; augment "
        "(augment: [horizontal_flip]).",
    )


def _is_copy(distances: list[float], usual: float) -> bool:
    """Of a sample to its nearest training images, ascending."""
    alone = len(distances) == 1 or distances[0] < ALONE * distances[-1]
    return distances[0] < NEAR * usual and alone
