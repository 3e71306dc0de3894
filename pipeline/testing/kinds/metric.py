"""Checks of metrics: what they declare of equal sets, of distance, of bias and of their error.

Features are drawn from Gaussians. A metric of class probabilities declares ``needs: ClassVar[str] =
"logits"`` and gets logits: the further from ideal, the less clear their class. One that gives the
same when its arguments are swapped may declare ``symmetric: ClassVar[bool] = True``.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ...plugin.contracts import Metric
from ...plugin.options import options
from ...plugin.rows import RowMetric
from ...plugin.values import Score
from ..context import Check, Context, Wrong
from ..problems.feature_sets import (
    COUNT,
    DIM,
    WIDE,
    NoTensor,
    feature_sets,
    fewest,
    scale_of,
    score_or_none,
    sorted_by_first,
    wants_logits,
)
from ..problems.forms import forms
from ..problems.turns import in_turn
from ..same import untouched
from ..variants import variations
from . import metric_differences, metric_distance
from .metric_distance import ROUNDING

REPEATS, MANY_REPEATS = 40, 240
"""Independent pairs of sets whose values make a mean and a spread."""
FEW, FIRST = (75, 63), 24
"""Images of sets without an even half, and of each those that have to count if the last has."""
OTHERS = ((-3.0, 2.0), (0.2, -1.0))
"""Factors and shifts of other images: what counts may come to the same by chance, but not twice."""
HUGE = (3300, 1300)
"""Images of sets of which the end and the middle are looked at."""
MANY, TENTHS = (1630, 620), 10
"""Images of large sets, and parts of them that are changed in turn."""
SHUFFLES = 5
"""Orders of the same images whose values have a spread."""


def behaviour(stage: Metric) -> list[object]:
    """Values, errors and parts, and the features it asks the engine for; not the protocol."""
    sets = [feature_sets(stage, 256, m, 0, d) for m, d in ((256, 0.0), (192, 0.25), (200, 1.0))]
    scores = in_turn(lambda pair: stage(*pair), sets)
    told = [[score.value, score.standard_error, dict(score.parts)] for score in scores]
    return [*told, getattr(stage, "features", None)]


def declares_what_it_is(stage: Metric, _: Context) -> str:
    """It declares which way is better, what equal sets give, whether few images shift it."""
    for name in ("higher_is_better", "biased"):
        value = getattr(stage, name, None)
        if not isinstance(value, bool):
            raise Wrong(f"{name} is {value!r}; declare it: {name}: ClassVar[bool] = …")
    ideal: object = getattr(stage, "ideal", "")
    number = (
        isinstance(ideal, (int, float)) and not isinstance(ideal, bool) and math.isfinite(ideal)
    )
    if ideal is not None and not number:
        raise Wrong(f"ideal is {ideal!r}; declare the value for equal distributions, or None")
    better = "higher" if stage.higher_is_better else "lower"
    bias = "biased" if stage.biased else "unbiased"
    return f"{better} is better, ideal {ideal}, {bias}"


def gives_a_score(stage: Metric, _: Context) -> str:
    """Its numbers are finite, and JSON can hold them, for as many images on both sides or not."""
    for n, m in ((COUNT, COUNT), (COUNT, 160), (160, COUNT)):
        score: object = stage(*feature_sets(stage, n, m, 0, 0.25))
        if not isinstance(score, Score):
            raise Wrong(f"it gives a {type(score).__name__}, not a Score")
        _check_numbers(score, f"of {n} and {m} images")
        _check_protocol(score)
    assert isinstance(score, Score)
    return f"{score.value:.4g}, protocol: {', '.join(score.protocol)}"


def ignores_the_order_of_images(stage: Metric, _: Context) -> str:
    """Sets have no order: a metric that draws may differ by what it draws, not by more."""
    real, fake = feature_sets(stage, COUNT, COUNT, 2, 0.25)
    shuffled = _values_of_shuffles(stage, real, fake)
    mean, spread = statistics.fmean(shuffled), statistics.stdev(shuffled)
    allowed = 6 * spread + ROUNDING * scale_of(stage)
    worst = 0.0
    for name, pair in (
        ("both sorted", (sorted_by_first(real), sorted_by_first(fake))),
        ("sorted against each other", (sorted_by_first(real), sorted_by_first(fake).flip(0))),
    ):
        value = stage(*pair).value
        worst = max(worst, abs(value - mean))
        if abs(value - mean) > allowed:
            raise Wrong(
                f"{name} the same images score {value:.4g}, shuffled {mean:.4g} ± {spread:.1g}: "
                "it depends on the order of images, and images often come sorted by class"
            )
    others = [stage(*feature_sets(stage, COUNT, COUNT, 20 + i, 0.25)).value for i in range(8)]
    if spread > 1.5 * statistics.stdev(others):
        raise Wrong(
            f"shuffled images score {mean:.4g} ± {spread:.1g}, where other images differ by "
            f"{statistics.stdev(others):.1g} only: it depends on the order of images"
        )
    return f"shuffled within {spread:.1g}, sorted within {worst:.1g}"


def has_the_right_standard_error(stage: Metric, _: Context) -> str:
    """Where one is given, it is the spread over repetitions.

    Within a factor of 2 for equal distributions, and of 1.3, which chance exceeds once in a million
    times, for others.
    """
    count, told = max(128, 2 * fewest(stage)), []
    for distance, repeats, factor in ((0.0, REPEATS, 2.0), (0.5, MANY_REPEATS, 1.3)):
        m = count * 3 // 2 if distance else count
        sets = (feature_sets(stage, count, m, 100 + i, distance) for i in range(repeats))
        scores = [stage(*pair) for pair in sets]
        errors = [s.standard_error for s in scores if s.standard_error is not None]
        if len(errors) < repeats / 2:
            return "it gives none"
        spread = statistics.stdev(score.value for score in scores)
        error = math.sqrt(statistics.fmean(e**2 for e in errors))
        if not spread / factor <= error <= factor * spread:
            raise Wrong(
                f"the standard error is {error:.3g}, but the value spreads by {spread:.3g} over "
                f"{repeats} pairs of sets of {count} and {m} images at distance {distance:g}"
            )
        told.append(f"{error:.3g} where the value spreads by {spread:.3g}")
    return "; ".join(told)


def every_image_counts(stage: Metric, _: Context) -> str:
    """Wherever among many they stand, a tenth of the images that are others change the value.

    So do every second and every third, and of thousands those in the middle and at the end.
    """

    def parts(count: int) -> list[slice]:
        size = count // TENTHS
        tenths = [slice(start, start + size) for start in range(0, TENTHS * size, size)]
        return tenths + [slice(start, None, step) for step in (2, 3) for start in range(step)]

    def ends(count: int) -> list[slice]:
        return [slice(count // 2, count * 6 // 10), slice(count * 9 // 10, None)]

    _parts_count(stage, MANY, parts)
    _parts_count(stage, HUGE, ends)
    return f"each tenth, second and third of {MANY[0]} and of {MANY[1]}"


def the_last_image_counts(stage: Metric, _: Context) -> str:
    """Where each of the first images counts by itself, the last ones do too."""
    least = fewest(stage) | 1
    n, m = (max(least, count) for count in FEW)
    real, fake = feature_sets(stage, n, m, 11, 0.25)
    value = stage(real, fake).value
    sides = {"generated": fake, **({"real": real} if stage.ideal is not None else {})}
    for side, features in sides.items():
        copied = real if side == "generated" else fake

        def counts(row: int, features: Tensor = features, copied: Tensor = copied) -> bool:
            for image in (2 - 30 * features[row], copied[0]):
                other = features.clone()
                other[row] = image
                pair = (real, other) if copied is real else (other, fake)
                if stage(*pair).value != value:
                    return True
            return False

        for row in (len(features) - 1, len(features) - 2):
            if not counts(row) and all(map(counts, range(FIRST))):
                raise Wrong(
                    f"of {len(features)} {side} images each of the first {FIRST} changes the value "
                    f"by itself, and image {row} does not: is the end left out?"
                )
    return f"of {len(real)} real and {len(fake)} generated ones"


def every_feature_counts(stage: Metric, _: Context) -> str:
    """Each column changes the value, of every image."""
    for width, step in ((DIM, 1), (WIDE, 9)):
        real, fake = feature_sets(stage, COUNT, 200, 10, 0.25, width)
        value = stage(real, fake).value
        for column in range(0, width, step):
            values = set()
            for factor, shift in OTHERS:
                other = fake.clone()
                other[:, column] = factor * other[:, column] + shift
                values.add(stage(real, other).value)
            if values == {value}:
                raise Wrong(f"feature {column} of {width} may be any other: is it left out?")
    return f"each of {DIM} and some of {WIDE}"


def precisions_agree(stage: Metric, _: Context) -> str:
    """Features are float32; what float64 gives is the same but for rounding, also far from 0."""
    worst, scale = 0.0, scale_of(stage)
    features = feature_sets(stage, COUNT, 200, 3, 0.5)
    for what, pair in {
        "features": features,
        "features a hundred deviations from 0": tuple(x + 100 for x in features),
        "features of 10,000": tuple(1e4 * x for x in features),
    }.items():
        single, double = stage(*pair).value, stage(*(x.double() for x in pair)).value
        away = abs(single - double)
        if not away <= ROUNDING * max(scale, abs(double)):
            raise Wrong(
                f"{what} in float32 score {single:.8g}, the same in float64 {double:.8g}: compute "
                "in float64"
            )
        worst = max(worst, away)
    for form in forms(features[1]):
        value = stage(*(forms(x)[form] for x in features)).value
        if abs(value - stage(*features).value) > ROUNDING * scale:
            raise Wrong(f"as {form} the same features score {value:.8g}")
    return f"within {worst:.1g}"


def refuses_unusable_features(stage: Metric, _: Context) -> str:
    """No images, and features that are not numbers, are refused; few images give no NaN."""
    real, fake = feature_sets(stage, COUNT, COUNT, 4, 0.25)
    for name, pair in _unusable(stage, real, fake).items():
        if (score := score_or_none(partial(stage, *pair))) is not None:
            raise Wrong(f"{name} score {score.value:g}; raise InputError instead")
    least = COUNT
    for count in (64, 32, 16, 8, 4, 3, 2, 1):
        score = score_or_none(partial(stage, real[:count], fake[:count]))
        if score is not None and not math.isfinite(score.value):
            raise Wrong(f"{count} images score {score.value}; raise InputError where it needs more")
        least = count if score is not None else least
    return f"refused; the fewest images it takes are {least}"


def protocol_tells_the_options(stage: Metric, context: Context) -> str:
    """Values by other options cannot be compared, so they have another protocol."""
    pair, told = feature_sets(stage, COUNT, 200, 14, 0.25), []
    known = stage(*pair)
    for name, option in options(type(stage)).items():
        if option.io_only or option.kind:
            continue
        for value, other in variations(context, context.index_of(stage), option):
            score = score_or_none(partial(other, *pair))
            if score is None or score.value == known.value:
                continue
            if dict(score.protocol) == dict(known.protocol):
                raise Wrong(
                    f"with {name}={value} it gives {score.value:.6g} instead of {known.value:.6g} "
                    "and the same protocol: scores that cannot be compared would be"
                )
            told.append(name)
            break
    return f"{', '.join(told)}: another protocol" if told else ""


def parts_are_what_their_names_say(stage: Metric, _: Context) -> str:
    """Images too much alike have precision and lack recall, images too far spread the reverse.

    A third of the real images has nearly full precision against all of them, and all of them have
    nearly full recall against that third.
    """
    real, fake = feature_sets(stage, COUNT, COUNT, 13, 0)
    if wants_logits(stage) or not {"precision", "recall"} <= {*stage(real, fake).parts}:
        return ""
    for factor, more, less in ((0.3, "precision", "recall"), (3.0, "recall", "precision")):
        parts = stage(real, factor * fake).parts
        if parts[more] <= parts[less]:
            raise Wrong(
                f"of images spread {factor:g} times as far as real ones {more} is "
                f"{parts[more]:.3g} and {less} {parts[less]:.3g}: do they have each other's name?"
            )
    few = real[: COUNT // 3]
    for part, score in (("precision", stage(real, few)), ("recall", stage(few, real))):
        if score.parts[part] < 0.9:
            raise Wrong(
                f"a third of the images and all of them have a {part} of {score.parts[part]:.3g}, "
                "not nearly 1: is it divided by the number of the others?"
            )
    return "precision and recall"


def is_symmetric_if_it_says_so(stage: Metric, _: Context) -> str:
    """The value stays when both sets are swapped, for a metric that declares to be symmetric."""
    if not getattr(stage, "symmetric", False):
        return ""
    real, fake = feature_sets(stage, COUNT, 200, 5, 0.5)
    value, swapped = stage(real, fake).value, stage(fake, real).value
    if abs(value - swapped) > ROUNDING * scale_of(stage):
        raise Wrong(f"declared symmetric, it gives {value:.6g}, and {swapped:.6g} the other way")
    return "the same"


def ignores_real_images_if_it_says_so(stage: Metric, _: Context) -> str:
    """A metric without an ideal value does not look at the real images."""
    if stage.ideal is not None:
        return ""
    real, fake = feature_sets(stage, COUNT, COUNT, 6, 0.25)
    value, other = stage(real, fake).value, stage(2 * real[:100] + 1, fake).value
    if value != other:
        raise Wrong(
            f"other real images make {other:.6g} of {value:.6g}: declare what equal distributions "
            "give, ideal: ClassVar[float] = …"
        )
    return "other real images change nothing"


def changes_nothing_in_place(stage: Metric, _: Context) -> str:
    """Features are still what they were, and used for other metrics."""
    for dtype in (torch.float32, torch.float64):
        real, fake = (x.to(dtype) for x in feature_sets(stage, COUNT, COUNT, 7, 0.25))
        with untouched(real=real, fake=fake):
            stage(real, fake)
    return "float32 and float64 stay"


def reads_rows_if_it_says_so(stage: Metric, _: Context) -> str:
    """A metric that declares ``by_rows`` scores rows that are no tensors as it scores tensors."""
    if not isinstance(stage, RowMetric):
        return ""
    real, fake = feature_sets(stage, COUNT, 200, 8, 0.25)
    try:
        score = stage(NoTensor(real), NoTensor(fake))
    except (AttributeError, TypeError) as error:
        raise Wrong(
            f"it asks of rows more than len, shape and […] with a slice or indices ({error}): "
            "leave out by_rows, and it is given tensors"
        ) from error
    if score != (wanted := stage(real, fake)):
        raise Wrong(f"rows score {score.value:.8g}, the same as tensors {wanted.value:.8g}")
    return "the same as of tensors"


CHECKS: Sequence[Check] = (
    declares_what_it_is,
    gives_a_score,
    *metric_distance.CHECKS,
    ignores_the_order_of_images,
    has_the_right_standard_error,
    every_image_counts,
    the_last_image_counts,
    every_feature_counts,
    precisions_agree,
    refuses_unusable_features,
    protocol_tells_the_options,
    parts_are_what_their_names_say,
    is_symmetric_if_it_says_so,
    ignores_real_images_if_it_says_so,
    changes_nothing_in_place,
    reads_rows_if_it_says_so,
    *metric_differences.CHECKS,
)


def _parts_count(
    stage: Metric, counts: tuple[int, int], parts: Callable[[int], list[slice]]
) -> None:
    """Raise Wrong where a part of either side's images may be any others."""
    real, fake = feature_sets(stage, *counts, 9, 0.25)
    value = stage(real, fake).value
    for side, features in (("generated", fake), ("real", real)):
        if side == "real" and stage.ideal is None:
            continue

        def changes(
            part: slice, by: tuple[float, float], x: Tensor = features, side: str = side
        ) -> bool:
            other = x.clone()
            other[part] = by[0] * other[part] + by[1]
            pair = (real, other) if side == "generated" else (other, fake)
            return stage(*pair).value != value

        for part in parts(len(features)):
            if not any(changes(part, by) for by in OTHERS):
                rows = range(len(features))[part]
                raise Wrong(
                    f"{side} images {rows[0]}, {rows[1]}, … {rows[-1]} of {len(features)} may be "
                    "any others without changing the value: are all rows used?"
                )


def _check_numbers(score: Score, what: str) -> None:
    """Raise Wrong unless value, parts and standard error are finite numbers."""
    numbers: dict[str, object] = {"value": score.value, **score.parts}
    if score.standard_error is not None:
        numbers["standard_error"] = score.standard_error
    for name, number in numbers.items():
        if not isinstance(number, (int, float)) or not math.isfinite(number):
            raise Wrong(f"{what} {name} is {number!r}, not a finite float")
    if score.standard_error is not None and score.standard_error < 0:
        raise Wrong(f"the standard error is {score.standard_error:g}, below 0")


def _check_protocol(score: Score) -> None:
    protocol: object = score.protocol
    if not isinstance(protocol, Mapping) or not protocol:
        raise Wrong("its protocol is empty; say what was computed: {'metric': …, 'estimator': …}")
    try:
        json.dumps(dict(protocol), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Wrong(f"its protocol cannot be kept as JSON: {error}") from error


def _values_of_shuffles(stage: Metric, real: Tensor, fake: Tensor) -> list[float]:
    draw = torch.Generator().manual_seed(0)
    values = []
    for _ in range(SHUFFLES):
        pair = [x[torch.randperm(len(x), generator=draw)] for x in (real, fake)]
        values.append(stage(*pair).value)
    return values


def _unusable(stage: Metric, real: Tensor, fake: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of sets that a metric has to refuse."""
    pairs = {"no generated images": (real, fake[:0])}
    if stage.ideal is not None:
        pairs["no real images"] = real[:0], fake
    for value in (math.nan, math.inf):
        broken = fake.clone()
        broken[7, 3] = value
        pairs[f"a generated image with a feature that is {value}"] = real, broken
        if stage.ideal is not None:
            pairs[f"a real image with a feature that is {value}"] = broken, fake
    return pairs
