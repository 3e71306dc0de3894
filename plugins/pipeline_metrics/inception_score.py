"""Inception score: Salimans et al. 2016, https://arxiv.org/abs/1606.03498."""

from __future__ import annotations

import math
import statistics
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pipeline import Features, OptionSets, Rows, Score, Stage, stage

from .blocks import FEW, blocks
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
    by_rows: ClassVar[Literal[True]] = True
    examples: ClassVar[OptionSets] = (
        {"splits": 1},
        {"features": {"name": "efficientnet_lite0", "output": "logits"}},
    )

    def __call__(self, real: Rows, fake: Rows) -> Score:
        """Logits (N, classes) of the generated images. Raises InputError for unusable ones."""
        count = len(fake)
        name = "inception_score"
        described = f"{name} with splits {self.splits}"
        check_side(described, "generated", fake, least=2 * self.splits, lower="splits")
        ends = [i * count // self.splits for i in range(self.splits + 1)]
        split = np.empty(count, np.int64)
        order = np.random.RandomState(SEED).permutation(count)
        split[order] = np.repeat(np.arange(self.splits), np.diff(ends))
        sums = [_Sums() for _ in range(self.splits)]
        for number, block in enumerate(blocks(fake, FEW)):
            log_p = block.double().log_softmax(1)
            of = split[number * FEW :][: len(block)]
            for i in np.unique(of):
                sums[i].add(log_p[torch.from_numpy(of == i).to(log_p.device)])
        values = [one.score() for one in sums]
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        protocol = {"metric": name, "biased": True, "splits": self.splits, "num_fake": count}
        return Score(statistics.fmean(values), error, protocol)


class _Sums:
    """What the score of a split needs of its images: log-probabilities, which might underflow."""

    def __init__(self) -> None:
        self.count, self.negentropy = 0, 0.0
        self.log_sum: Tensor | None = None
        """Of the probabilities of each class."""

    def add(self, log_p: Tensor) -> None:
        """Add log-probabilities (n, classes)."""
        self.count += len(log_p)
        self.negentropy += float((log_p.exp() * log_p).sum())
        more = log_p.logsumexp(0)
        self.log_sum = more if self.log_sum is None else torch.logaddexp(self.log_sum, more)

    def score(self) -> float:
        """The exponential of the mean divergence of an image's probabilities from their mean."""
        assert self.log_sum is not None
        log_mean = self.log_sum - math.log(self.count)
        return math.exp(self.negentropy / self.count - float((log_mean.exp() * log_mean).sum()))
