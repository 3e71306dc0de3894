"""What a metric has to keep: what it declares of equal sets, of distance, of bias and of error.

Features are drawn from Gaussians. A metric of class probabilities declares ``needs: ClassVar[str] =
"logits"`` and gets logits: the further from ideal, the less clear their class. One that gives the
same when its arguments are swapped may declare ``symmetric: ClassVar[bool] = True``.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...plugin.contracts import Metric, Score
from ..core import Context, Wrong, untouched
from ..problems.feature_sets import (
    COUNT,
    DISTANCES,
    by_first,
    drawn,
    fewest,
    mean_value,
    of_logits,
    scale,
    tried,
)
from . import metric_differences

REPEATS = 40
"""Independent pairs of sets whose values make a mean and a spread."""
ORDERS = 5
ROUNDING = 1e-5
"""Of the scale of its values: what the order of a sum may do."""


def behaviour(stage: Metric) -> Any:
    """Values, errors and parts, and the features it asks the engine for; not the protocol."""
    scores = [stage(*drawn(stage, 256, m, 0, d)) for m, d in ((256, 0.0), (192, 0.25), (200, 1.0))]
    found = [[score.value, score.standard_error, dict(score.parts)] for score in scores]
    return [*found, getattr(stage, "features", None)]


def declares_what_it_is(stage: Metric, _: Context) -> str:
    """Which way is better, what equal sets give, whether few images shift it."""
    for name in ("higher_is_better", "biased"):
        value = getattr(stage, name, None)
        if not isinstance(value, bool):
            raise Wrong(f"{name} is {value!r}; declare it: {name}: ClassVar[bool] = …")
    ideal: Any = getattr(stage, "ideal", "")
    if ideal is not None and (isinstance(ideal, (bool, str)) or not math.isfinite(ideal)):
        raise Wrong(f"ideal is {ideal!r}; declare the value for equal distributions, or None")
    better = "higher" if stage.higher_is_better else "lower"
    bias = "biased" if stage.biased else "unbiased"
    return f"{better} is better, ideal {ideal}, {bias}"


def gives_a_score(stage: Metric, _: Context) -> str:
    """Finite numbers that JSON can hold, of as many images on both sides or not."""
    for n, m in ((COUNT, COUNT), (COUNT, 160), (160, COUNT)):
        score: Any = stage(*drawn(stage, n, m, 0, 0.25))
        if not isinstance(score, Score):
            raise Wrong(f"it gives a {type(score).__name__}, not a Score")
        numbers = {"value": score.value, **score.parts}
        if score.standard_error is not None:
            numbers["standard_error"] = score.standard_error
        for name, number in numbers.items():
            if not isinstance(number, (int, float)) or not math.isfinite(number):
                raise Wrong(f"of {n} and {m} images {name} is {number!r}, not a finite float")
        if numbers.get("standard_error", 0) < 0:
            raise Wrong(f"the standard error is {score.standard_error:g}, below 0")
        _check_protocol(score)
    return f"{score.value:.4g}, protocol: {', '.join(score.protocol)}"


def is_ideal_for_equal_distributions(stage: Metric, _: Context) -> str:
    """The mean over small sets. Biased: identical sets, and large ones are nearer than small."""
    if stage.ideal is None:
        return "it looks at one side only"
    return _biased(stage) if stage.biased else _unbiased(stage)


def moves_away_with_distance(stage: Metric, _: Context) -> str:
    """In the declared direction, further from ideal the further the sets are apart."""
    values = [mean_value(stage, COUNT, 400, d, pairs=4) for d in DISTANCES]
    told = ", ".join(f"{value:.4g}" for value in values)
    where = "as classes become less clear" if of_logits(stage) else "with distance"
    steps = [b - a for a, b in pairwise(values)]
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
    return f"{where} {told}{_sensitivity(stage)}"


def ignores_the_order_of_images(stage: Metric, _: Context) -> str:
    """Sets have no order: a metric that draws may differ by what it draws, not by more."""
    draw = torch.Generator().manual_seed(0)
    real, fake = drawn(stage, COUNT, COUNT, 2, 0.25)
    values = []
    for _time in range(ORDERS):
        shuffled = [x[torch.randperm(len(x), generator=draw)] for x in (real, fake)]
        values.append(stage(*shuffled).value)
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    allowed = 6 * spread + ROUNDING * scale(stage)
    worst = 0.0
    for name, orders in (
        ("both sorted", (by_first(real), by_first(fake))),
        ("sorted against each other", (by_first(real), by_first(fake).flip(0))),
    ):
        value = stage(*orders).value
        worst = max(worst, abs(value - mean))
        if abs(value - mean) > allowed:
            raise Wrong(
                f"{name} the same images score {value:.4g}, shuffled {mean:.4g} ± {spread:.1g}: "
                "it depends on the order of images, and images often come sorted by class"
            )
    sampling = statistics.stdev(
        stage(*drawn(stage, COUNT, COUNT, 20 + i, 0.25)).value for i in range(8)
    )
    if spread > 1.5 * sampling:
        raise Wrong(
            f"shuffled images score {mean:.4g} ± {spread:.1g}, where other images differ by "
            f"{sampling:.1g} only: it depends on the order of images"
        )
    return f"shuffled within {spread:.1g}, sorted within {worst:.1g}"


def has_the_right_standard_error(stage: Metric, _: Context) -> str:
    """Where it is given: the spread over repetitions, within a factor of 2."""
    count, told = max(128, 2 * fewest(stage)), []
    for distance in (0.0, 0.5):
        found = [stage(*drawn(stage, count, count, 100 + i, distance)) for i in range(REPEATS)]
        errors = [s.standard_error for s in found if s.standard_error is not None]
        if len(errors) < REPEATS / 2:
            return "it gives none"
        spread = statistics.stdev(score.value for score in found)
        error = math.sqrt(statistics.fmean(e**2 for e in errors))
        if not spread / 2 <= error <= 2 * spread:
            raise Wrong(
                f"the standard error is {error:.3g}, but the value spreads by {spread:.3g} over "
                f"{REPEATS} pairs of sets of {count} images at distance {distance:g}"
            )
        told.append(f"{error:.3g} where the value spreads by {spread:.3g}")
    return "; ".join(told)


def precisions_agree(stage: Metric, _: Context) -> str:
    """Features are float32; what float64 gives is the same but for rounding."""
    single = drawn(stage, COUNT, 200, 3, 0.5)
    one, other = stage(*single).value, stage(*(x.double() for x in single)).value
    if abs(one - other) > ROUNDING * scale(stage):
        raise Wrong(
            f"float32 features score {one:.8g}, the same in float64 {other:.8g}: compute in float64"
        )
    return f"within {abs(one - other):.1g}"


def refuses_unusable_features(stage: Metric, _: Context) -> str:
    """No images, and features that are not numbers, are refused; few images give no NaN."""
    real, fake = drawn(stage, COUNT, COUNT, 4, 0.25)
    broken = fake.clone()
    broken[7, 3] = math.nan
    wrong: dict[str, tuple[Tensor, Tensor]] = {
        "no generated images": (real, fake[:0]),
        "a generated image whose features are NaN": (real, broken),
    }
    if stage.ideal is not None:
        wrong |= {"no real images": (real[:0], fake)}
        wrong |= {"a real image whose features are NaN": (broken, fake)}
    for name, sets in wrong.items():
        if (score := tried(partial(stage, *sets))) is not None:
            raise Wrong(f"{name} score {score.value:g}; raise InputError instead")
    least = COUNT
    for count in (64, 32, 16, 8, 4, 3, 2, 1):
        score = tried(partial(stage, real[:count], fake[:count]))
        if score is not None and not math.isfinite(score.value):
            raise Wrong(f"{count} images score {score.value}; raise InputError where it needs more")
        least = count if score is not None else least
    return f"refused; the fewest images it takes are {least}"


def is_symmetric_if_it_says_so(stage: Metric, _: Context) -> str:
    """The same, for a metric that declares to be symmetric."""
    if not getattr(stage, "symmetric", False):
        return ""
    real, fake = drawn(stage, COUNT, 200, 5, 0.5)
    one, other = stage(real, fake).value, stage(fake, real).value
    if abs(one - other) > ROUNDING * scale(stage):
        raise Wrong(f"declared symmetric, it gives {one:.6g}, and {other:.6g} the other way")
    return "the same"


def ignores_real_images_if_it_says_so(stage: Metric, _: Context) -> str:
    """A metric without an ideal value does not look at the real images."""
    if stage.ideal is not None:
        return ""
    real, fake = drawn(stage, COUNT, COUNT, 6, 0.25)
    one, other = stage(real, fake).value, stage(2 * real[:100] + 1, fake).value
    if one != other:
        raise Wrong(
            f"other real images make {other:.6g} of {one:.6g}: declare what equal distributions "
            "give, ideal: ClassVar[float] = …"
        )
    return "other real images change nothing"


def changes_nothing_in_place(stage: Metric, _: Context) -> str:
    """Features are still what they were, and used for other metrics."""
    for dtype in (torch.float32, torch.float64):
        real, fake = (x.to(dtype) for x in drawn(stage, COUNT, COUNT, 7, 0.25))
        with untouched(real=real, fake=fake):
            stage(real, fake)
    return "float32 and float64 stay"


CHECKS = (
    declares_what_it_is,
    gives_a_score,
    is_ideal_for_equal_distributions,
    moves_away_with_distance,
    ignores_the_order_of_images,
    has_the_right_standard_error,
    precisions_agree,
    refuses_unusable_features,
    is_symmetric_if_it_says_so,
    ignores_real_images_if_it_says_so,
    changes_nothing_in_place,
    *metric_differences.CHECKS,
)


def _unbiased(stage: Metric) -> str:
    """Of small sets, where a kept diagonal shows most."""
    count, ideal = fewest(stage), stage.ideal or 0.0
    values = [stage(*drawn(stage, count, count, 200 + i, 0)).value for i in range(REPEATS)]
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(REPEATS)
    told = f"{mean:.3g} ± {error:.2g} over {REPEATS} pairs of equal sets of {count} images"
    if abs(mean - ideal) > 4 * error + ROUNDING * scale(stage):
        raise Wrong(
            f"declared unbiased with ideal {ideal:g}, it is {told} on average: does it keep the "
            "diagonal, pairs of an image with itself?"
        )
    return told


def _biased(stage: Metric) -> str:
    """Of a set with itself, then of independent small and large sets."""
    ideal = stage.ideal or 0.0
    same = drawn(stage, COUNT, COUNT, 0, 0)[0]
    value = stage(same, same.clone()).value
    if abs(value - ideal) > 1e-4 * scale(stage):
        raise Wrong(f"a set against itself scores {value:.6g}, not its ideal {ideal:g}")
    small, gaps = max(32, fewest(stage)), []
    for count in (small, 8 * small):
        gaps.append(abs(mean_value(stage, count, 300, 0, pairs=4) - ideal))
    if gaps[1] >= gaps[0]:
        raise Wrong(
            f"of equal distributions it is {gaps[0]:.3g} from its ideal with {small} images and "
            f"{gaps[1]:.3g} with {8 * small}: it should come nearer"
        )
    return (
        f"a set with itself {value:.3g}; independent sets {gaps[0]:.3g} away with {small} images, "
        f"{gaps[1]:.3g} with {8 * small}"
    )


def _sensitivity(stage: Metric) -> str:
    """What else it sees, for the author to judge: a metric of means only is no fault of itself."""
    if of_logits(stage) or stage.ideal is None:
        return ""
    real, fake = drawn(stage, COUNT, COUNT, 8, 0)
    shared = fake[:, :1]
    others = {
        "spread": 2 * fake,
        "correlation": 0.6 * fake + 0.8 * shared,
        "collapse to few images": fake[:8].repeat(COUNT // 8, 1),
    }
    equal = abs(stage(real, fake).value - stage.ideal)
    allowed = 2 * equal + 0.02 * scale(stage)
    gaps = {name: abs(stage(real, x).value - stage.ideal) for name, x in others.items()}
    seen = [name for name, gap in gaps.items() if gap > allowed]
    blind = [name for name in gaps if name not in seen]
    return "; ".join(
        [""] + [f"{w} {', '.join(x)}" for w, x in (("sees", seen), ("hardly sees", blind)) if x]
    )


def _check_protocol(score: Score) -> None:
    protocol: Any = score.protocol
    if not isinstance(protocol, Mapping) or not protocol:
        raise Wrong("its protocol is empty; say what was computed: {'metric': …, 'estimator': …}")
    try:
        json.dumps(dict(protocol), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Wrong(f"its protocol cannot be kept as JSON: {error}") from error
