"""Improved precision and recall: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline import Features, OptionSets, Score, Stage, stage

from .inputs import check

BLOCK = 1024
"""Rows and columns of the distances in memory at a time: 8 MiB."""

ROUNDING = 1e-12
"""The error of a squared distance, relative to the squared norms whose difference it is."""


@stage
class PrecisionRecall:
    """How many generated images lie where real ones are (precision), and the other way (recall).

    A set's manifold is the union of balls around its features, each as large as the distance to its
    k-th nearest neighbour (eq. 1 and 2). The value is their harmonic mean, the F-score, from 0 to
    1; both are in the score's parts. They grow with the number of images: compare equal numbers.
    """

    k: Annotated[int, Field(ge=1)] = 3
    """The neighbour that a ball reaches to, not counting the image itself."""
    features: Annotated[Features, Stage("features")] | None = None
    """The network whose features are compared; none: the recipe's."""

    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[float] = 1.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    examples: ClassVar[OptionSets] = (
        {"k": 1},
        {"features": {"name": "efficientnet_lite0", "image_size": 32}},
    )

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """Features (N, D) and (M, D); N and M may differ. Raises InputError for unusable ones.

        Memory beyond the features, once in float64, is a few blocks, whatever N and M.
        """
        name = "precision_recall"
        check(f"{name} with k {self.k}", real, fake, least=self.k + 1, lower="k")
        centre = real.double().mean(0)  # a common offset would cost digits of every distance
        real, fake = real.double() - centre, fake.double() - centre
        precision = _covered(fake, real, _radii(real, self.k))
        recall = _covered(real, fake, _radii(fake, self.k))
        both = precision + recall
        return Score(
            2 * precision * recall / both if both else 0.0,
            protocol={
                "metric": name,
                "biased": True,
                "k": self.k,
                "num_real": len(real),
                "num_fake": len(fake),
            },
            parts={"precision": precision, "recall": recall},
        )


def _radii(x: Tensor, k: int) -> Tensor:
    """Squared distance of each row to its k-th nearest other row: (N,)."""
    radii = []
    for rows in torch.split(x, BLOCK):
        nearest = rows.new_empty(len(rows), 0)
        for squared, _ in _distances(rows, x):
            joined = torch.cat([nearest, squared], 1)
            nearest = joined.topk(min(k + 1, joined.shape[1]), largest=False).values
        radii.append(nearest[:, k])  # the nearest of all is the row itself
    return torch.cat(radii)


def _covered(x: Tensor, centres: Tensor, radii: Tensor) -> float:
    """The fraction of rows of x in a ball around a centre, its surface included."""
    inside = 0
    for rows in torch.split(x, BLOCK):
        covered = torch.zeros(len(rows), dtype=torch.bool, device=x.device)
        balls = zip(_distances(rows, centres), torch.split(radii, BLOCK), strict=True)
        for (squared, slack), radius in balls:
            covered |= (squared <= radius + slack).any(1)
        inside += int(covered.sum())
    return inside / len(x)


def _distances(rows: Tensor, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Squared distances of rows (n, D) to each block of x, (n, m), and how far they may be off.

    They come from products, since differences take ten times as long. Images that are the same, or
    as far as a ball's radius, must not be told apart by the last digit: hence the slack.
    """
    own = rows.square().sum(1, keepdim=True)
    for block in torch.split(x, BLOCK):
        norms = own + block.square().sum(1)
        yield torch.addmm(norms, rows, block.T, alpha=-2), ROUNDING * norms
