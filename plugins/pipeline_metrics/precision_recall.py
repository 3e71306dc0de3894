"""Improved precision and recall: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline import Features, OptionSets, Rows, Score, Stage, stage

from .blocks import blocks, mean
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
    by_rows: ClassVar[Literal[True]] = True
    examples: ClassVar[OptionSets] = (
        {"k": 1},
        {"features": {"name": "efficientnet_lite0", "image_size": 32}},
    )

    def __call__(self, real: Rows, fake: Rows) -> Score:
        """Features (N, D) and (M, D); N and M may differ. Raises InputError for unusable ones.

        Memory beyond the features is a few blocks, and 8 bytes an image.
        """
        name = "precision_recall"
        check(f"{name} with k {self.k}", real, fake, least=self.k + 1, lower="k")
        centre = mean(real)  # a common offset would cost digits of every distance
        sides = _Centred(real, centre), _Centred(fake, centre)
        precision = _covered(sides[1], sides[0], _radii(sides[0], self.k))
        recall = _covered(sides[0], sides[1], _radii(sides[1], self.k))
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


class _Centred:
    """Rows less their centre, in float64."""

    def __init__(self, x: Rows, centre: Tensor) -> None:
        self.x, self.centre, self.shape = x, centre, x.shape

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return self.x[rows].double() - self.centre


def _radii(x: Rows, k: int) -> Tensor:
    """Squared distance of each row to its k-th nearest other row: (N,)."""
    radii = []
    for rows in blocks(x, BLOCK):
        nearest = rows.new_empty(len(rows), 0)
        for squared, _ in _distances(rows, x):
            joined = torch.cat([nearest, squared], 1)
            nearest = joined.topk(min(k + 1, joined.shape[1]), largest=False).values
        radii.append(nearest[:, k])  # the nearest of all is the row itself
    return torch.cat(radii)


def _covered(x: Rows, centres: Rows, radii: Tensor) -> float:
    """The fraction of rows of x in a ball around a centre, its surface included."""
    inside = 0
    for rows in blocks(x, BLOCK):
        covered = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        balls = zip(_distances(rows, centres), torch.split(radii, BLOCK), strict=True)
        for (squared, slack), radius in balls:
            covered |= (squared <= radius + slack).any(1)
        inside += int(covered.sum())
    return inside / len(x)


def _distances(rows: Tensor, x: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """Squared distances of rows (n, D) to each block of x, (n, m), and how far they may be off.

    They come from products, since differences take ten times as long. Images that are the same, or
    as far as a ball's radius, must not be told apart by the last digit: hence the slack.
    """
    own = rows.square().sum(1, keepdim=True)
    for block in blocks(x, BLOCK):
        norms = own + block.square().sum(1)
        yield torch.addmm(norms, rows, block.T, alpha=-2), ROUNDING * norms
