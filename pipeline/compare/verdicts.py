"""Pairs of variants: how large a difference is, how sure, and what that means in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..format import number, signed
from ..plugin.contracts import Metric
from ..plugin.difference import Difference
from ..plugin.inference import LEVEL, holm
from .samples import differences
from .scoring import Scored
from .seeds import Seeds, over_seeds, seeds_needed

WORTH = 0.1
"""The share of the first variant's score that is worth seeing, unless said otherwise."""

Pair = dict[str, Any]


def judge(
    name: str, metric: Metric, found: Mapping[str, Sequence[Scored]], effect: float | None
) -> list[Pair]:
    """Every pair of variants by one metric; their p-values are corrected together (Holm 1979).

    With several seeds a claim rests on their t interval, and on that of finite samples as well: the
    seeds share the real images, whose chance no number of seeds averages away.
    """
    names, sets = list(found), [[one.features[name][1] for one in ones] for ones in found.values()]
    real = found[names[0]][0].features[name][0]
    first = [one.scores[name].value for one in found[names[0]]]
    worth = effect or WORTH * abs(sum(first) / len(first))
    judged = [
        Judged(names[a], names[b], samples, over_seeds(samples.by_pair) if sets[0][1:] else None)
        for (a, b), samples in differences(metric, real, sets).items()
    ]
    corrected = holm([1.0 if one.p is None else one.p for one in judged])
    higher = getattr(metric, "higher_is_better", False)
    pairs = []
    for one, p in zip(judged, corrected, strict=True):
        better = one.better(higher) if p < LEVEL and one.samples_tell else None
        verdict = one.claim(better, shown(name)) if better else one.doubt(shown(name), p, worth)
        several = p if len(judged) > 1 and one.p is not None else None
        pairs.append(
            {"metric": name, **one.data(), "p_corrected": several, "better": better}
            | {"verdict": verdict}
        )
    return pairs


class Judged:
    """A pair with both sources of error."""

    def __init__(self, first: str, second: str, samples: Difference, seeds: Seeds | None) -> None:
        self.first, self.second, self.samples, self.seeds = first, second, samples, seeds

    @property
    def p(self) -> float | None:
        """Of the source that the verdict rests on: seeds, or with one of them finite samples."""
        return self.seeds.p if self.seeds else self.samples.p

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the same source, 95 %."""
        return self.seeds.interval() if self.seeds else self.samples.interval()

    @property
    def samples_tell(self) -> bool:
        """Whether finite samples alone would leave a difference; true where nobody can say."""
        return _excludes_0(self.samples.interval()) is not False

    def better(self, higher: bool) -> str:
        """The better one's name, if the difference is true."""
        return self.second if (self.samples.value > 0) == higher else self.first

    def claim(self, better: str, metric: str) -> str:
        """``B is better: KID 0.031 lower (0.022 to 0.040)``."""
        up = (self.samples.value > 0) == (better == self.second)
        low, high = sorted(map(abs, self.interval or (0.0, 0.0)))
        text = (
            f"{better} is better: {metric} {number(abs(self.samples.value))} "
            f"{'higher' if up else 'lower'} ({number(low)} to {number(high)})"
        )
        return (
            text
            if self.seeds
            else f"{text}, of these two networks; of the recipes one seed tells nothing"
        )

    def doubt(self, metric: str, p: float, worth: float) -> str:
        """Why nothing is claimed, and what would be needed."""
        reasons = [f"no difference found{self._range(metric)}"]
        if not any(self.samples.by_pair):
            return f"no difference: {metric} is the same for both"
        if self.seeds is None:
            seen = self.samples.smallest_seen
            if seen is None:
                why = self.samples.method.removeprefix("none: ")
                return f"nothing can be said of this difference: {why}"
            reasons[0] += " between these two networks"
            reasons += [*self._lost(p), f"one of {number(seen)} would probably have been seen"]
            if seen > worth > 0:
                reasons.append(f"one of {number(worth)} may have been missed")
            return "; ".join([*reasons, "of the recipes one seed tells nothing"])
        if self.p is None:
            reasons.append("all seeds gave the same, so nothing is known of their spread")
            return "; ".join(reasons)
        reasons += self._lost(p)
        count, seen = self.seeds.degrees_of_freedom + 1, self.seeds.smallest_seen
        reasons.append(f"with {count} seeds one of {number(seen)} would probably have been seen")
        if seen > worth > 0:
            needed = seeds_needed(self.seeds.standard_error * count**0.5, worth)
            reasons.append(f"about {needed:,} seeds would be needed to see one of {number(worth)}")
        return "; ".join(reasons)

    def data(self) -> Pair:
        """For ``compare.json``; a source of error of which nothing is known is None."""
        seeds = (
            self.seeds
            and self.seeds.interval()
            and {
                "standard_error": self.seeds.standard_error,
                "interval": self.seeds.interval(),
                "p": self.seeds.p,
                "degrees_of_freedom": self.seeds.degrees_of_freedom,
                "smallest_seen": self.seeds.smallest_seen,
            }
        )
        samples = self.samples.interval() and {
            "standard_error": self.samples.standard_error,
            "interval": self.samples.interval(),
            "p": self.samples.p,
            "method": self.samples.method,
        }
        return {
            "first": self.first,
            "second": self.second,
            "difference": self.samples.value,
            "by_seed": list(self.samples.by_pair),
            "finite_samples": samples,
            "training_seeds": seeds,
        }

    def _range(self, metric: str) -> str:
        if self.interval is None:
            return ""
        return f" ({metric} {signed(self.interval[0])} to {signed(self.interval[1])})"

    def _lost(self, p: float) -> list[str]:
        """What speaks for a difference that is not claimed all the same."""
        if self.p is not None and self.p < LEVEL <= p:
            return [
                f"alone it would have counted (p = {self.p:.3f}), among so many pairs it does not"
            ]
        if self.p is not None and self.p < LEVEL:
            return ["the seeds agree, but the images are too few to tell"]
        if self.seeds and _excludes_0(self.samples.interval()):
            return ["these networks differ, but no more than other seeds make them differ"]
        return []


def shown(metric: str) -> str:
    """``kid`` -> ``KID``; longer names as they are."""
    return metric.upper() if len(metric) < 5 else metric


def _excludes_0(interval: tuple[float, float] | None) -> bool | None:
    return None if interval is None else interval[0] > 0 or interval[1] < 0
