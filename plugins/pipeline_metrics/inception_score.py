"""Inception score: Salimans et al. 2016, https://arxiv.org/abs/1606.03498."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pipeline import Features, OptionSets, Score, Stage, stage

from .inputs import check_side

SEED = 2020
"""Seeds the order of images before they are split: so the splits are those of torch-fidelity."""


@stage
class InceptionScore:
    """exp E KL(p(y|x) || p(y)): high where each image has a clear class and classes are many.

    From 1 to the number of classes, in float64. It looks at generated images only. Biased: for few
    images in a split it is too small; compare equal numbers of images and splits only. Published
    values are of 50,000 images in 10 splits and the logits of ``inception_fid``.
    """

    splits: Annotated[int, Field(ge=1)] = 10
    """The value is the mean over so many equal parts of the images, shuffled with a fixed seed; its
    standard error is that of this mean, and there is none for one part."""
    features: Annotated[Features, Stage("features")] | None = None
    """The network that classifies, with ``output: logits``; none: the recipe's."""

    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = True
    needs: ClassVar[Literal["logits"]] = "logits"
    examples: ClassVar[OptionSets] = (
        {"splits": 1},
        {"features": {"name": "efficientnet_lite0", "output": "logits"}},
    )

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """Logits (N, classes) of the generated images. Raises InputError for unusable ones."""
        count = len(fake)
        name = "inception_score"
        described = f"{name} with splits {self.splits}"
        check_side(described, "generated", fake, least=2 * self.splits, lower="splits")
        order = torch.from_numpy(np.random.RandomState(SEED).permutation(count))
        log_p = fake[order.to(fake.device)].double().log_softmax(1)
        ends = [i * count // self.splits for i in range(self.splits + 1)]
        values = [_score(log_p[a:b]) for a, b in pairwise(ends)]
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        protocol = {"metric": name, "biased": True, "splits": self.splits, "num_fake": count}
        return Score(statistics.fmean(values), error, protocol)


def _score(log_p: Tensor) -> float:
    """The score of log-probabilities (n, classes): as probabilities they might underflow."""
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return float((log_p.exp() * (log_p - log_mean)).sum(1).mean().exp())
