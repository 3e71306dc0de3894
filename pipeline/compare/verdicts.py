"""Pairs of variants: how large a difference is, how sure, and what that means in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..format import metric_name, number, signed
from ..plugin.contracts import Metric
from ..plugin.difference import Difference
from ..plugin.inference import LEVEL, holm
from ..records import ErrorRecord, PairRecord
from .samples import model_differences
from .scoring import ScoredTrial
from .seeds import Seeds, over_seeds, seeds_needed

WORTH = 0.1
"""The share of the first variant's score that is worth seeing, unless said otherwise."""


def judge(
    name: str, metric: Metric, scored: Mapping[str, Sequence[ScoredTrial]], effect: float | None
) -> list[PairRecord]:
    """Every pair of variants by one metric; their p-values are corrected together (Holm 1979).

    With several seeds a claim rests on their t interval, and on that of finite samples as well: the
    seeds share the real images, whose chance no number of seeds averages away.
    """
    names = list(scored)
    sets = [[trial.features[name][1] for trial in trials] for trials in scored.values()]
    real = scored[names[0]][0].features[name][0]
    first = [trial.scores[name].value for trial in scored[names[0]]]
    worth = effect or WORTH * abs(sum(first) / len(first))
    pairs = [
        JudgedPair(names[a], names[b], samples, _over_seeds(samples))
        for (a, b), samples in model_differences(metric, real, sets).items()
    ]
    corrected = holm([1.0 if pair.p is None else pair.p for pair in pairs])
    return [
        pair.record(name, metric.higher_is_better, p, worth, many=len(pairs) > 1)
        for pair, p in zip(pairs, corrected, strict=True)
    ]


def disagreements(pairs: Sequence[PairRecord]) -> list[str]:
    """A sentence for every two variants of which metrics do not say the same."""
    found: dict[tuple[str, str], dict[str, str | None]] = {}
    for pair in pairs:
        found.setdefault((pair["first"], pair["second"]), {})[pair["metric"]] = pair["better"]
    notes = []
    for (first, second), said in found.items():
        claims = {metric_name(metric): better for metric, better in said.items() if better}
        silent = [metric_name(metric) for metric, better in said.items() if not better]
        each = ", ".join(f"{better} is better by {metric}" for metric, better in claims.items())
        if len(set(claims.values())) > 1:
            notes.append(f"metrics contradict each other on {first} and {second}: {each}.")
        elif claims and silent:
            notes.append(f"not all metrics see it: {each}; by {', '.join(silent)} nothing is.")
    return notes


class JudgedPair:
    """Two variants and their difference, with both sources of error."""

    def __init__(self, first: str, second: str, samples: Difference, seeds: Seeds | None) -> None:
        self.first, self.second, self.samples, self.seeds = first, second, samples, seeds

    @property
    def p(self) -> float | None:
        """The p-value of what the verdict rests on: seeds, or with one of them finite samples."""
        return self.seeds.p if self.seeds else self.samples.p

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the same source."""
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

    def record(
        self, metric: str, higher: bool, p: float, worth: float, *, many: bool
    ) -> PairRecord:
        """For ``compare.json``: ``p`` is corrected for all pairs, if there are ``many``.

        A source of error of which nothing is known is None.
        """
        better = self.better(higher) if p < LEVEL and self.samples_tell else None
        words = metric_name(metric)
        return {
            "metric": metric,
            "first": self.first,
            "second": self.second,
            "difference": self.samples.value,
            "by_seed": list(self.samples.by_pair),
            "finite_samples": _samples_record(self.samples),
            "training_seeds": _seeds_record(self.seeds),
            "p_corrected": p if many and self.p is not None else None,
            "better": better,
            "verdict": self.claim(better, words) if better else self.doubt(words, p, worth),
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


def _over_seeds(samples: Difference) -> Seeds | None:
    """None where there is one training seed."""
    return over_seeds(samples.by_pair) if samples.by_pair[1:] else None


def _seeds_record(seeds: Seeds | None) -> ErrorRecord | None:
    if seeds is None or (interval := seeds.interval()) is None or (p := seeds.p) is None:
        return None
    return {
        "standard_error": seeds.standard_error,
        "interval": interval,
        "p": p,
        "degrees_of_freedom": seeds.degrees_of_freedom,
        "smallest_seen": seeds.smallest_seen,
    }


def _samples_record(samples: Difference) -> ErrorRecord | None:
    interval, p, error = samples.interval(), samples.p, samples.standard_error
    if interval is None or p is None or error is None:
        return None
    return {"standard_error": error, "interval": interval, "p": p, "method": samples.method}


def _excludes_0(interval: tuple[float, float] | None) -> bool | None:
    return None if interval is None else interval[0] > 0 or interval[1] < 0
