"""The metrics of a recipe or of a command: by name, with their features."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..plugin.contracts import Features, Metric
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.load import spec_of
from ..recipe.rules import refusal
from ..recipe.schema import Recipe
from ..records import DirectionRecord


def metrics_in(recipe: Recipe) -> list[Metric]:
    """All metrics that a recipe measures, those of validation first."""
    return [
        *recipe.train.validate.metrics,
        *(recipe.evaluate.metrics if recipe.evaluate else ()),
    ]


def by_name(metrics: Sequence[Metric], registry: Registry) -> dict[str, Metric]:
    """Metrics by their names; a second ``kid`` is ``kid_2``."""
    names = [registry.name_of(metric) for metric in metrics]
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    unique = [name if n == 1 else f"{name}_{n}" for name, n in zip(names, counts, strict=True)]
    return dict(zip(unique, metrics, strict=True))


def directions(recipe: Recipe, registry: Registry) -> dict[str, DirectionRecord]:
    """Which way each metric of a recipe is better."""
    scored = recipe.evaluate.metrics if recipe.evaluate else []
    metrics = by_name(recipe.train.validate.metrics, registry) | by_name(scored, registry)
    return {name: direction(metric) for name, metric in metrics.items()}


def direction(metric: Metric) -> DirectionRecord:
    """Which way a metric is better."""
    return {"higher_is_better": metric.higher_is_better, "ideal": metric.ideal}


def features_of(metric: Metric, recipe: Recipe | None) -> Features:
    """The metric's own features, or the recipe's. InputError where there are none."""
    features = metric.features or (recipe.features if recipe else None)
    if features is None:
        raise InputError("this metric needs features: give --features, or features in the recipe")
    return features


def with_features(
    metrics: Sequence[Metric],
    given: str | Sequence[str] | None,
    recipe: Recipe | None,
    registry: Registry,
) -> dict[str, tuple[Metric, Features]]:
    """Metrics by name, each with its features: those ``given``, its own, or the recipe's.

    By several networks each metric is there several times: ``kid`` by the first, then ``kid_2``.
    InputError where ``given`` would be ignored or a metric cannot be computed from its features.
    """
    texts = [given] if isinstance(given, str) else given or []
    networks = [
        build_stage(registry, "features", spec_of(text, "--features"), "--features")
        for text in texts
    ] or [None]
    named = by_name([*metrics] * len(networks), registry)
    wanted = [asked for asked in networks for _ in metrics]
    pairs = {}
    for (name, metric), asked in zip(named.items(), wanted, strict=True):
        if asked and metric.features:
            raise InputError(f"--features: {name} names features of its own")
        features = asked or metric.features or (recipe.features if recipe else None)
        if message := refusal(metric, features, registry):
            raise InputError(f"--metric {message}")
        pairs[name] = metric, asked or features_of(metric, recipe)
    return pairs
