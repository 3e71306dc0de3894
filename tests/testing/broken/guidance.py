"""Guidances."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline import NO_CLASS, Predict, Prediction, Rates, stage
from pipeline_guidances.classifier_free import ClassifierFree


def both(predict: Predict, x: Tensor, rates: Rates[float], label: Tensor) -> tuple:
    return predict(x, rates, torch.full_like(label, NO_CLASS)), predict(x, rates, label)


@stage
class OffByOne(ClassifierFree):
    """Its scale is the paper's w: 0 is off, and 1 already guides."""

    caught_by: ClassVar = "is off at scale 1"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        return super().__call__(predict, x, rates, label, scale + 1)


@stage
class NoiseAlone(ClassifierFree):
    """It guides eps and leaves x0 as it was."""

    caught_by: ClassVar = "keeps x"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        found = super().__call__(predict, x, rates, label, scale)
        return Prediction(predict(x, rates, label).x0, found.eps)


@stage
class Uncounted(ClassifierFree):
    """It says that it costs one evaluation, as the network alone."""

    caught_by: ClassVar = "nfe is what it costs"

    def nfe(self, scale: float) -> int:
        return 1


@stage
class Bounded(ClassifierFree):
    """Scales above 2 count as 0.5, by a slip in a bound."""

    caught_by: ClassVar = "a scale goes further"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        return super().__call__(predict, x, rates, label, 0.5 if scale > 2 else scale)


@stage
class AnyNetwork(ClassifierFree):
    """It says that networks without classes are guided too, for which it does nothing."""

    caught_by: ClassVar = "says whether it needs labels"
    needs_labels: ClassVar[bool] = False


@stage
class OfTheBatch(ClassifierFree):
    """It scales the guided x0 to the deviation of the batch's, where it should be each image's."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        found = super().__call__(predict, x, rates, label, scale)
        if label is None or scale == 1:
            return found
        own = predict(x, rates, label)
        x0 = found.x0 * own.x0.std() / found.x0.std()
        return Prediction(x0, (x - rates.signal * x0) / rates.noise)


@stage
class InSinglePrecision(ClassifierFree):
    """It extrapolates in float32, whatever it was given."""

    caught_by: ClassVar = "keeps dtype and layout"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        found = super().__call__(predict, x, rates, label, scale)
        return Prediction(found.x0.float(), found.eps.float())


@stage
class InPlace(ClassifierFree):
    """It adds to the network's prediction in place, which a sampler may have kept."""

    caught_by: ClassVar = "changes nothing in place"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        if label is None or scale == 1:
            return predict(x, rates, label)
        free, own = both(predict, x, rates, label)
        pairs = zip(free, own, strict=True)
        return Prediction(*(a.mul_(1 - scale).add_(b, alpha=scale) for a, b in pairs))


@stage
class TheOtherWay(ClassifierFree):
    """Beyond 1 it goes towards the prediction without a label, by two swapped arguments."""

    caught_by: ClassVar = "a scale goes further"

    def __call__(self, predict, x, rates, label, scale) -> Prediction:
        return super().__call__(predict, x, rates, label, 2 - scale if scale > 1 else scale)


@stage
class SparesLargeBatches(ClassifierFree):
    """Batches of more than a dozen images are not guided."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, predict, x, rates, label, scale):
        return super().__call__(predict, x, rates, label, 1.0 if len(x) > 12 else scale)


@stage
class EightAtMost(ClassifierFree):
    """Scales beyond 8 count as 8."""

    caught_by: ClassVar = "a scale goes further"

    def __call__(self, predict, x, rates, label, scale):
        return super().__call__(predict, x, rates, label, min(scale, 8.0))


@stage
class Rescales(ClassifierFree):
    """It brings x0 back to the deviation of the unguided one, and leaves eps."""

    caught_by: ClassVar = "keeps x"

    def __call__(self, predict, x, rates, label, scale):
        found = super().__call__(predict, x, rates, label, scale)
        if label is None or scale == 1:
            return found
        wanted = predict(x, rates, label).x0.flatten(1).std(1)
        share = wanted / found.x0.flatten(1).std(1)
        return Prediction(found.x0 * share[:, None, None, None], found.eps)


@stage
class WholeScales(ClassifierFree):
    """A scale is cut to a whole number, so that 1.5 is off."""

    caught_by: ClassVar = "a scale goes further"

    def __call__(self, predict, x, rates, label, scale):
        return super().__call__(predict, x, rates, label, float(int(scale)) if scale > 1 else scale)


@stage
class LastClassUnguided(ClassifierFree):
    """Images of the fifth class are not guided, as if that number were no class."""

    caught_by: ClassVar = "a scale goes further"

    def __call__(self, predict, x, rates, label, scale):
        off = label is not None and bool((label == 4).all())
        return super().__call__(predict, x, rates, label, 1.0 if off else scale)
