"""Metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from pipeline import Difference, InputError, Score, stage
from pipeline_metrics.fid import FID
from pipeline_metrics.kid import KID
from pipeline_metrics.precision_recall import PrecisionRecall


def _check(real: Tensor, fake: Tensor) -> None:
    for x in (real, fake):
        if len(x) < 2 or not x.isfinite().all():
            raise InputError("needs the features of 2 images, all finite")


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() @ y.double().T / x.shape[1] + 1) ** 3


def _off_diagonal(kernel: Tensor) -> Tensor:
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))


def _mmd2(real: Tensor, fake: Tensor) -> float:
    own = _off_diagonal(_kernel(real, real)) + _off_diagonal(_kernel(fake, fake))
    return float(own - 2 * _kernel(real, fake).mean())


@stage
class KeepsTheDiagonal:
    """A KID declared unbiased counts each image's pair with itself."""

    caught_by: ClassVar = "is ideal for equal distributions"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        own = _kernel(real, real).mean() + _kernel(fake, fake).mean()
        return Score(float(own - 2 * _kernel(real, fake).mean()), None, {"metric": "kid"})


@stage
class DividesByAllPairs:
    """A KID leaves the diagonal out, and divides by N² instead of N(N - 1)."""

    caught_by: ClassVar = "is ideal for equal distributions"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        own = sum(_off_diagonal(_kernel(x, x)) * (1 - 1 / len(x)) for x in (real, fake))
        return Score(float(own - 2 * _kernel(real, fake).mean()), None, {"metric": "kid"})


@stage
class PairsImagesInOrder:
    """A linear-time KID pairs each image with its neighbour, though images come sorted."""

    caught_by: ClassVar = "ignores the order of images"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        count = min(len(real), len(fake)) // 2 * 2
        x, y = real[:count].double(), fake[:count].double()

        def pairs(a: Tensor, b: Tensor) -> Tensor:
            return ((a * b).sum(1) / a.shape[1] + 1) ** 3

        own = pairs(x[::2], x[1::2]) + pairs(y[::2], y[1::2])
        across = pairs(x[::2], y[1::2]) + pairs(x[1::2], y[::2])
        return Score(float((own - across).mean()), None, {"metric": "kid"})


@stage
class ErrorOfOneBatch:
    """The mean over batches has the standard error of one batch: √count too large."""

    caught_by: ClassVar = "has the right standard error"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        order = torch.Generator().manual_seed(0)
        x, y = (z[torch.randperm(len(z), generator=order)].split(8) for z in (real, fake))
        pairs = [(a, b) for a, b in zip(x, y, strict=False) if len(a) == len(b) == 8]
        if not pairs:
            raise InputError("needs batches of 8 images")
        values = torch.tensor([_mmd2(a, b) for a, b in pairs])
        error = float(values.std()) if len(values) > 1 else None
        return Score(float(values.mean()), error, {"metric": "kid"})


@stage
class WrongWay:
    """A similarity, 1 for equal images, declares lower to be better."""

    caught_by: ClassVar = "moves away with distance"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 1.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        gap = float((real.double().mean(0) - fake.double().mean(0)).norm())
        return Score(math.exp(-gap), None, {"metric": "similarity"})


@stage
class MissesNaN:
    """It leaves out features that are NaN, and says nothing."""

    caught_by: ClassVar = "refuses unusable features"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        if not len(real) or not len(fake):
            raise InputError("needs images")
        gap = real.double().nanmean(0) - fake.double().nanmean(0)
        return Score(float(gap.norm()), None, {"metric": "means"})


@stage
class CentresInPlace:
    """It centres the features it was given, which the next metric uses too."""

    caught_by: ClassVar = "changes nothing in place"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        mean = real.mean(0)
        real -= mean
        fake -= mean
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class TensorForAValue:
    """The value is a tensor, which no JSON holds."""

    caught_by: ClassVar = "gives a score"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        gap = real.mean(0) - fake.mean(0)
        return Score(gap.norm(), None, {"metric": "means"})  # type: ignore[arg-type]


@stage
class SaysNothingOfBias:
    """It does not declare whether few images shift its value."""

    caught_by: ClassVar = "has every member of its contract"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class SaysBiasInWords:
    """It declares in words whether few images shift its value."""

    caught_by: ClassVar = "declares what it is"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[str] = "no"
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class RoundsToHalf:
    """It saves memory by rounding single-precision features to bfloat16."""

    caught_by: ClassVar = "precisions agree"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        if real.dtype == torch.float32:
            real, fake = real.bfloat16(), fake.bfloat16()
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class OneSided:
    """It is declared symmetric, and measures distance in deviations of the real images only."""

    caught_by: ClassVar = "is symmetric if it says so"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None
    symmetric: ClassVar[bool] = True

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        real, fake = real.double(), fake.double()
        gap = (real.mean(0) - fake.mean(0)) / real.std(0)
        return Score(float(gap.norm()), None, {"metric": "means"})


@stage
class LooksAtRealImages:
    """It declares no ideal value, as if it did not look at the real images, and it does."""

    caught_by: ClassVar = "ignores real images if it says so"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class WantsTensors:
    """It declares to read rows, and asks of them what only tensors have."""

    caught_by: ClassVar = "reads rows if it says so"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None
    by_rows: ClassVar[bool] = True

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class SubtractsTheSecond:
    """Its difference is the first model's value minus the second's, not the other way."""

    caught_by: ClassVar = "differences are those of its values"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(_mmd2(real, fake), None, {"metric": "kid"})

    def differences(
        self, real: Tensor, models: Sequence[Sequence[Tensor]]
    ) -> dict[tuple[int, int], Difference]:
        values = [[self(real, fake).value for fake in sets] for sets in models]
        differences = {}
        for b, second in enumerate(values):
            for a, first in enumerate(values[:b]):
                by_pair = [y - z for y, z in zip(first, second, strict=True)]
                mean = sum(by_pair) / len(by_pair)
                differences[a, b] = Difference(mean, tuple(by_pair), None, "none")
        return differences


@stage
class AddsVariances:
    """The variance of a difference is the sum of both scores', as if images were not paired."""

    caught_by: ClassVar = "has the right standard error of a difference"
    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(fake, fake)
        rows = fake.double().mean(1)
        return Score(float(rows.mean()), float(rows.std()) / len(rows) ** 0.5, {"metric": "mean"})

    def differences(
        self, real: Tensor, models: Sequence[Sequence[Tensor]]
    ) -> dict[tuple[int, int], Difference]:
        scores = [[self(real, fake) for fake in sets] for sets in models]
        differences = {}
        for b, second in enumerate(scores):
            for a, first in enumerate(scores[:b]):
                by_pair = [z.value - y.value for y, z in zip(first, second, strict=True)]
                squares = sum((score.standard_error or 0) ** 2 for score in first + second)
                mean, error = sum(by_pair) / len(by_pair), squares**0.5 / len(by_pair)
                differences[a, b] = Difference(mean, tuple(by_pair), error, "variances added")
        return differences


class _Distance:
    """What is right in the next ones: the squared distance of means, less what few images add."""

    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def of(self, real: Tensor, fake: Tensor) -> float:
        a, b = real.double(), fake.double()
        few = a.var(0).sum() / len(a) + b.var(0).sum() / len(b)
        return float((a.mean(0) - b.mean(0)).square().sum() - few)

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        return Score(self.of(real, fake), None, {"metric": "distance"})


@stage
class OfTheFirst(_Distance):
    """Of many images it takes the first 500."""

    caught_by: ClassVar = "every image counts"

    def of(self, real: Tensor, fake: Tensor) -> float:
        return super().of(real[:500], fake[:500])


@stage
class WithoutTheLast(_Distance):
    """The last feature is left out, by an end that is off by one."""

    caught_by: ClassVar = "every feature counts"

    def of(self, real: Tensor, fake: Tensor) -> float:
        return super().of(real[:, :-1], fake[:, :-1])


@stage
class FromSquares(_Distance):
    """It adds up squares in float32 and takes them from each other: far from 0 no digit is left."""

    caught_by: ClassVar = "precisions agree"

    def of(self, real: Tensor, fake: Tensor) -> float:
        a, b = real.mean(0), fake.mean(0)
        squares = (a * a).sum() + (b * b).sum() - 2 * (a * b).sum()
        x, y = real.double(), fake.double()
        return float(squares.double() - x.var(0).sum() / len(x) - y.var(0).sum() / len(y))


@stage
class DividesByReal:
    """The generated images' own pairs are divided by how many the real ones have."""

    caught_by: ClassVar = "is ideal for equal distributions"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        own = _kernel(fake, fake)
        pairs = (own.sum() - own.trace()) / (len(real) * (len(real) - 1))
        value = _off_diagonal(_kernel(real, real)) + pairs - 2 * _kernel(real, fake).mean()
        return Score(float(value), None, {"metric": "kid"})


@stage
class LeavesTheOddOneOut(KID):
    """Of an odd number of real images the last is left out."""

    caught_by: ClassVar = "the last image counts"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return super().__call__(real[: len(real) // 2 * 2], fake)


@stage
class BlindBeyondForty(FID):
    """What generated features beyond the fortieth have to do with the others is lost."""

    caught_by: ClassVar = "is ideal for equal distributions"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        order = torch.randperm(len(fake), generator=torch.Generator().manual_seed(0))
        fake = torch.cat((fake[:, :40], fake[order][:, 40:]), 1)
        return super().__call__(real, fake)


@stage
class SkipsEverySecond(FID):
    """Of more than a thousand real images every second is left out, to be quick."""

    caught_by: ClassVar = "every image counts"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return super().__call__(real[::2] if len(real) > 1000 else real, fake)


@stage
class PartsExchanged(PrecisionRecall):
    """Precision and recall have each other's name among its parts."""

    caught_by: ClassVar = "parts are what their names say"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        score = super().__call__(real, fake)
        names = {"precision": "recall", "recall": "precision"}
        return replace(score, parts={names[name]: value for name, value in score.parts.items()})


@stage
class ErrorOfAll(KID):
    """The standard error falls by the root of both sets' images, where one counts."""

    caught_by: ClassVar = "has the right standard error"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        score = super().__call__(real, fake)
        share = len(fake) / (len(real) + len(fake))
        return replace(score, standard_error=(score.standard_error or 0) * share**0.5)


@stage
class ClipsInfinity(KID):
    """Infinite features become large ones, and nothing is said."""

    caught_by: ClassVar = "refuses unusable features"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return super().__call__(*(x.where(~x.isinf(), x.sign() * 1e4) for x in (real, fake)))


@stage
class SilentProtocol(KID):
    """Its protocol does not say how large the subsets are."""

    caught_by: ClassVar = "protocol tells the options"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        score = super().__call__(real, fake)
        told = {name: value for name, value in score.protocol.items() if "subset" not in name}
        return replace(score, protocol=told)


@stage
class TwoThousandAtMost(FID):
    """Of more than two thousand images the others are left out."""

    caught_by: ClassVar = "every image counts"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return super().__call__(real[:2000], fake[:2000])


@stage
class RootOfSeedsTwice(KID):
    """The error of a difference of several seeds is divided by their root once more."""

    caught_by: ClassVar = "has the right standard error of a difference"

    def differences(
        self, real: Tensor, models: Sequence[Sequence[Tensor]]
    ) -> dict[tuple[int, int], Difference] | None:
        found = super().differences(real, models) or {}
        return {
            pair: replace(one, standard_error=(one.standard_error or 0) / len(models[0]) ** 0.5)
            for pair, one in found.items()
        }


@stage
class CutsTheLonger(KID):
    """Where real images are more than twice as many as generated ones, the others are left out."""

    caught_by: ClassVar = "every image counts"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return super().__call__(real[: 2 * len(fake)], fake)


@stage
class LargestOfAll:
    """The largest of the images' means grows with their number, and is called unbiased."""

    caught_by: ClassVar = "is ideal for equal distributions"
    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(fake, fake)
        return Score(float(fake.double().mean(1).max()), None, {"metric": "largest"})


@stage
class RecallOfTheOthers(PrecisionRecall):
    """Recall is divided by the number of generated images, not of real ones."""

    caught_by: ClassVar = "parts are what their names say"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        score = super().__call__(real, fake)
        recall = score.parts["recall"] * len(real) / len(fake)
        return replace(score, parts={**score.parts, "recall": recall})


class _Biased(_Distance):
    biased: ClassVar[bool] = True


@stage
class DividesByNoSpread(_Biased):
    """It divides by each feature's variance, also by that of a unit that is dead."""

    caught_by: ClassVar = "is ideal for equal distributions"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        x, y = real.double(), fake.double()
        gaps = (x.mean(0) - y.mean(0)) ** 2 / (x.var(0) + y.var(0))
        return Score(float(gaps.mean()), None, {"metric": "standardised"})


@stage
class CutsTheLargerSet(_Biased):
    """It sorts each feature and compares the lowest, as many as the smaller set has."""

    caught_by: ClassVar = "is ideal for equal distributions"

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        count = min(len(real), len(fake))
        x, y = (side.double().sort(0).values[:count] for side in (real, fake))
        return Score(float((x - y).square().mean()), None, {"metric": "quantiles"})
