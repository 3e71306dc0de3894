"""Fréchet inception distance: Heusel et al. 2017, https://arxiv.org/abs/1706.08500."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from pipeline import Features, OptionSets, Rows, Score, Stage, stage

from .blocks import blocks, mean
from .inputs import check

BLOCK = 4096
"""How many rows are in memory in float64 at a time: 64 MiB for 2048 features."""


@stage
class FID:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of the Gaussians with the features' means and
    covariances (eq. 6; Fréchet distance: Dowson and Landau 1982), in float64.

    Biased: for few images it is too large, even for equal distributions (Chong and Forsyth 2020,
    https://arxiv.org/abs/1911.07023). Compare values for equal numbers of images only. Published
    values are for 50,000 images and the features ``inception_fid``.
    """

    features: Annotated[Features, Stage("features")] | None = None
    """The network whose features are compared; none: the recipe's."""

    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    by_rows: ClassVar[Literal[True]] = True
    examples: ClassVar[OptionSets] = (
        {"features": {"name": "efficientnet_lite0", "image_size": 32}},
    )

    def __call__(self, real: Rows, fake: Rows) -> Score:
        """Features (N, D) and (M, D), also fewer rows than D. Raises InputError for unusable ones.

        With R the triangular factor of the centred features divided by √(N - 1), Σ = Rᵀ R, and the
        eigenvalues of Σ₁ Σ₂ are the squared singular values of R₁ R₂ᵀ. Their sum needs no root of a
        product of covariances, which is not symmetric, and singular where N <= D.
        """
        check("fid", real, fake)
        means = [mean(x) for x in (real, fake)]
        roots = _root(real, means[0]), _root(fake, means[1])
        spread = sum(float(torch.linalg.vector_norm(root)) ** 2 for root in roots)
        shared = float(torch.linalg.svdvals(roots[0] @ roots[1].T).sum())
        value = float((means[0] - means[1]).square().sum()) + spread - 2 * shared
        protocol = {"metric": "fid", "biased": True, "num_real": len(real), "num_fake": len(fake)}
        return Score(max(0.0, value), None, protocol)  # rounding may end below 0


def _root(x: Rows, centre: Tensor) -> Tensor:
    """R (at most D rows, D) with RᵀR the unbiased covariance of x (N, D); a block at a time."""
    root = centre.new_empty(0, len(centre))
    for block in blocks(x, BLOCK):
        centred = (block.double() - centre) / math.sqrt(len(x) - 1)
        root = torch.linalg.qr(torch.cat([root, centred]), mode="r").R
    return root
