"""Kernel inception distance: Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline import Difference, Features, InputError, OptionSets, Rows, Score, Stage, stage

from . import mmd, mmd_difference
from .blocks import part
from .inputs import check
from .precision import economical

SEED = 0
"""Seeds the choice of subsets and the order of batches."""

_OPTIONS = {"full": (), "subsets": ("subsets", "subset_size"), "batch_mean": ("batch_size",)}
"""The options that each estimator reads."""

_Estimate = tuple[float, float | None, dict[str, int]]
"""Value, standard error, and what the estimator adds to the protocol."""


@stage
class KID:
    """Squared MMD with the kernel (x·y/d + 1)³, unbiased (Gretton et al. 2012, eq. 3), in float64.

    Around 0, also below, for images of the same distribution. An option that the chosen estimator
    does not read is refused.
    """

    estimator: Literal["full", "subsets", "batch_mean"] = "full"
    """full: all pairs, with its standard error. subsets: mean over random subsets, the usual
    published form; it has no standard error, since subsets overlap. batch_mean: mean over
    batches of both sides, shuffled first and the incomplete one dropped, as the book computes; its
    standard error is that of the mean of the batches' values. Subsets and order are drawn with a
    fixed seed: the same features give the same value."""
    subsets: Annotated[int, Field(ge=1)] | None = None
    """How many subsets the estimator ``subsets`` draws; none: 100."""
    subset_size: Annotated[int, Field(ge=2)] | None = None
    """Images in a subset, drawn without replacement; none: 1000, but never more than there are."""
    batch_size: Annotated[int, Field(ge=2)] | None = None
    """Images in a batch of the estimator ``batch_mean``; none: 64."""
    features: Annotated[Features, Stage("features")] | None = None
    """The network whose features are compared; none: the recipe's."""

    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    by_rows: ClassVar[Literal[True]] = True
    examples: ClassVar[OptionSets] = (
        {"estimator": "subsets", "subsets": 5, "subset_size": 20},
        {"estimator": "batch_mean", "batch_size": 8},
        {"features": {"name": "efficientnet_lite0", "image_size": 32}},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> KID:
        for name in {"subsets", "subset_size", "batch_size"} - {*_OPTIONS[self.estimator]}:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is not an option of estimator {self.estimator}")
        return self

    def __call__(self, real: Rows, fake: Rows) -> Score:
        """Features (N, D) and (M, D); N and M may differ. Raises InputError for unusable ones.

        Memory beyond the features is a few blocks, whatever N and M.
        """
        check("kid", real, fake)
        estimators = {"full": _full, "subsets": self._subsets, "batch_mean": self._batch_mean}
        value, error, used = estimators[self.estimator](real, fake)
        counts = {"num_real": len(real), "num_fake": len(fake)}
        return Score(value, error, {"metric": "kid", "estimator": self.estimator, **counts, **used})

    def differences(
        self, real: Rows, models: Sequence[Sequence[Rows]]
    ) -> dict[tuple[int, int], Difference] | None:
        """Differences with their joint variance; None unless ``estimator`` uses all pairs."""
        if self.estimator != "full":
            return None
        for fake in (x for sets in models for x in sets):
            check("kid", real, fake)
        return mmd_difference.differences(real, models)

    def _subsets(self, real: Rows, fake: Rows) -> _Estimate:
        count, size = self.subsets or 100, min(self.subset_size or 1000, len(real), len(fake))
        draw = np.random.default_rng(SEED)
        values = []
        for _ in range(count):
            chosen = [x[_order(x, size, draw)] for x in (real, fake)]
            values.append(_mmd2(*chosen))
        return float(np.mean(values)), None, {"subsets": count, "subset_size": size}

    def _batch_mean(self, real: Rows, fake: Rows) -> _Estimate:
        size = self.batch_size or 64
        count = min(len(real), len(fake)) // size
        if not count:
            raise InputError(
                f"kid with estimator batch_mean needs a batch of {size} images on both sides, got "
                f"{len(real)} real and {len(fake)} generated; set a smaller batch_size"
            )
        draw = np.random.default_rng(SEED)
        # Images are often sorted by class, and a batch of one class is far from any other batch.
        orders = [torch.split(_order(x, count * size, draw), size) for x in (real, fake)]
        values = [_mmd2(real[a], fake[b]) for a, b in zip(*orders, strict=True)]
        error = float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else None
        return float(np.mean(values)), error, {"batch_size": size}


def _order(x: Rows, size: int, draw: np.random.Generator) -> Tensor:
    """Indices of rows of x in random order, without replacement."""
    return torch.from_numpy(draw.choice(len(x), size, replace=False))


def _mmd2(real: Rows, fake: Rows) -> float:
    return mmd.estimate(real, fake).value


def _full(real: Rows, fake: Rows) -> _Estimate:
    """All pairs. There is no standard error for fewer than 4 images, or where all are the same."""
    value, variance = economical(
        lambda rows, dtype: mmd.estimate(part(real, rows), part(fake, rows), dtype),
        min(len(real), len(fake)),
    )
    return value, math.sqrt(variance) if variance > 0 else None, {}
