"""Checks of what a metric makes of the distance between two sets: none, some, more."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor

from ...plugin.contracts import Metric
from ..context import Check, Context, Wrong
from ..problems.feature_sets import (
    COUNT,
    DISTANCES,
    WIDE,
    feature_sets,
    fewest,
    mean_value,
    scale_of,
    score_or_none,
    wants_logits,
)

PAIRS = 40
"""Independent pairs of small equal sets, over which an unbiased metric has its ideal as mean."""
ROUNDING = 1e-5
"""What the order of a sum may do, in scales of the metric's values."""


def is_ideal_for_equal_distributions(stage: Metric, _: Context) -> str:
    """Unbiased: on average over small sets. Biased: for a set and itself, nearly for large ones.

    Without an ideal and unbiased: the same mean for four times as many images.
    """
    if stage.ideal is None:
        return _one_sided(stage)
    return _biased(stage, stage.ideal) if stage.biased else _unbiased(stage, stage.ideal)


def moves_away_with_distance(stage: Metric, _: Context) -> str:
    """The value moves in the declared direction, away from ideal, when the sets move apart."""
    values = [mean_value(stage, COUNT, 400, distance, pairs=4) for distance in DISTANCES]
    where = "as classes become less clear" if wants_logits(stage) else "with distance"
    told = ", ".join(f"{value:.4g}" for value in values)
    steps = [second - first for first, second in pairwise(values)]
    wanted = -1 if stage.higher_is_better else 1
    if not all(step * wanted > 0 for step in steps):
        word = "fall" if stage.higher_is_better else "grow"
        raise Wrong(
            f"{where} it goes {told}; with higher_is_better = {stage.higher_is_better} it should "
            f"{word} at each of these"
        )
    if stage.ideal is not None:
        gaps = [abs(value - stage.ideal) for value in values]
        if gaps != sorted(gaps):
            raise Wrong(f"{where} it goes {told}: not away from its ideal {stage.ideal:g}")
    _single_feature(stage)
    return f"{where} {told}{_sensitivity(stage)}"


CHECKS: Sequence[Check] = (is_ideal_for_equal_distributions, moves_away_with_distance)


def _one_sided(stage: Metric) -> str:
    """Raise Wrong where it is declared unbiased, and four times as many images shift its mean."""
    if stage.biased:
        return "it looks at one side only, and is declared biased"
    means, squares = [], 0.0
    for times in (1, 4):
        count = times * fewest(stage)
        sets = [feature_sets(stage, count, count, 200 + i, 0) for i in range(PAIRS)]
        values = [stage(*pair).value for pair in sets]
        means.append(statistics.fmean(values))
        squares += statistics.variance(values) / PAIRS
    if abs(means[1] - means[0]) > 4 * math.sqrt(squares) + ROUNDING * scale_of(stage):
        raise Wrong(
            f"declared unbiased, it is {means[0]:.4g} on average for {count // 4} images and "
            f"{means[1]:.4g} for {count}: with biased = True only equal counts are compared"
        )
    return "it looks at one side only"


def _unbiased(stage: Metric, ideal: float) -> str:
    """Raise Wrong unless small sets, where a kept diagonal shows most, have the ideal as mean."""
    count = fewest(stage)
    values = [stage(*feature_sets(stage, count, count, 200 + i, 0)).value for i in range(PAIRS)]
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(PAIRS)
    _unequal(stage, ideal, count)
    told = f"{mean:.3g} ± {error:.2g} over {PAIRS} pairs of equal sets of {count} images"
    if abs(mean - ideal) > 4 * error + ROUNDING * scale_of(stage):
        raise Wrong(
            f"declared unbiased with ideal {ideal:g}, it is {told} on average: does it keep the "
            "diagonal, pairs of an image with itself?"
        )
    return told


def _unequal(stage: Metric, ideal: float, count: int) -> None:
    """Raise Wrong unless the mean is the ideal where one set is larger, around any mean."""
    for n, m, shift in ((count, 3 * count, 0.0), (3 * count, count, 0.5)):
        values = []
        for i in range(PAIRS):
            real, fake = feature_sets(stage, n, m, 400 + i, 0)
            values.append(stage(real + shift, fake + shift).value)
        mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(PAIRS)
        if abs(mean - ideal) > 5 * error + ROUNDING * scale_of(stage):
            raise Wrong(
                f"declared unbiased with ideal {ideal:g}, it is {mean:.3g} ± {error:.2g} on "
                f"average for equal distributions of {n} and {m} images around {shift:g}"
            )


def _single_feature(stage: Metric) -> None:
    """Raise Wrong where sets of one feature, far from each other, score as equal ones do."""
    if wants_logits(stage) or stage.ideal is None:
        return
    real, fake = feature_sets(stage, COUNT, COUNT, 21, 0, 1)
    scores = [score_or_none(partial(stage, real, fake + apart)) for apart in (0, 5)]
    if scores[0] is None or scores[1] is None:  # it needs more features
        return
    near, far = scores[0].value, scores[1].value
    if (near <= far) if stage.higher_is_better else (near >= far):
        raise Wrong(f"of one feature equal sets score {near:.4g}, and sets 5 apart {far:.4g}")


def _stands_constants(stage: Metric) -> None:
    """Raise Wrong where a feature is 0 in all images, as of a dead unit, and gives no score."""
    real, fake = feature_sets(stage, COUNT, COUNT, 23, 0.5)
    for x in (real, fake):
        x[:, 0] = 0.0
    score = score_or_none(partial(stage, real, fake))
    if score is not None and not math.isfinite(score.value):
        raise Wrong(f"with a feature that is 0 in all images it is {score.value}, not a number")


def _keeps_to_unequal_sets(stage: Metric, ideal: float) -> None:
    """Raise Wrong where equal distributions of unequal counts score as if they were far apart.

    Unequal counts may shift a value somewhat: few generated images cover few of many real ones.
    """
    few, many = COUNT // 2, 2 * COUNT
    if score_or_none(partial(stage, *feature_sets(stage, few, few, 0, 0))) is None:
        return

    def gap(n: int, m: int, distance: float) -> float:
        values = [stage(*feature_sets(stage, n, m, 600 + i, distance)).value for i in range(4)]
        return abs(statistics.fmean(values) - ideal)

    apart = gap(few, few, 1.0)
    for n, m in ((many, few), (few, many)):
        if (shifted := gap(n, m, 0.0)) > apart:
            raise Wrong(
                f"equal distributions of {n} and {m} images are {shifted:.3g} away from its ideal, "
                f"those of {few} a deviation apart {apart:.3g}: are counts taken to be equal?"
            )


def _biased(stage: Metric, ideal: float) -> str:
    """Raise Wrong unless a set with itself is ideal, and large sets are nearer than small ones."""
    features = feature_sets(stage, COUNT, COUNT, 0, 0)[0]
    value = stage(features, features.clone()).value
    if abs(value - ideal) > 1e-4 * scale_of(stage):
        raise Wrong(f"a set against itself scores {value:.6g}, not its ideal {ideal:g}")
    if not wants_logits(stage):
        _stands_constants(stage)
        _keeps_to_unequal_sets(stage, ideal)
        wide, _ = feature_sets(stage, COUNT, COUNT, 12, 0, WIDE)
        if abs((value := stage(wide, wide.clone()).value) - ideal) > 1e-4 * scale_of(stage):
            raise Wrong(
                f"a set of {WIDE} features against itself scores {value:.6g}, not {ideal:g}"
            )
        moved = stage(features + 10, features + 10).value
        if abs(moved - ideal) > 1e-4 * scale_of(stage):
            raise Wrong(f"a set around 10 against itself scores {moved:.6g}, not {ideal:g}")
    few = max(32, fewest(stage))
    many = 8 * few
    far, near = (abs(mean_value(stage, count, 300, 0, pairs=4) - ideal) for count in (few, many))
    if near >= far:
        raise Wrong(
            f"of equal distributions it is {far:.3g} from its ideal with {few} images and "
            f"{near:.3g} with {many}: it should come nearer"
        )
    return (
        f"a set with itself {value:.3g}; independent sets {far:.3g} away with {few} images, "
        f"{near:.3g} with {many}"
    )


def _sensitivity(stage: Metric) -> str:
    """What else it sees, for the author to judge: a metric of means only is no fault of itself."""
    if wants_logits(stage) or stage.ideal is None:
        return ""
    real, fake = feature_sets(stage, COUNT, COUNT, 8, 0)
    others = {
        "spread": 2 * fake,
        "correlation": 0.6 * fake + 0.8 * fake[:, :1],
        "collapse to few images": fake[:8].repeat(COUNT // 8, 1),
    }
    ideal = stage.ideal

    def gap(features: Tensor) -> float:
        return abs(stage(real, features).value - ideal)

    allowed = 2 * gap(fake) + 0.02 * scale_of(stage)
    seen = [name for name, features in others.items() if gap(features) > allowed]
    blind = [name for name in others if name not in seen]
    told = [f"{w} {', '.join(x)}" for w, x in (("sees", seen), ("hardly sees", blind)) if x]
    return "; ".join(["", *told])
