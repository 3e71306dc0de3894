"""Checks a recipe across its sections: what none of them can see alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

from ..errors import InputError
from ..plugin.contracts import Features, Metric
from ..plugin.data import LatentCodec
from ..plugin.options import options
from ..plugin.registry import Registry
from .build import Builder
from .schema import Evaluate, Sample, Train, Validate
from .tree import Node
from .yaml12 import flow

USUAL_GUIDANCE = "classifier_free"
UNCONDITIONAL = "has no effect without classes: add train.condition: class, or leave it out"


def check_sections(builder: Builder, tree: Node) -> None:
    """Keep a problem for each rule that the sections built from ``tree`` break together."""
    _metrics_have_features(builder, tree)
    _latents_stay(builder, tree)
    if at := builder.section_at("sample", Sample):
        _grid_has_images(builder, *at)
    if at_train := builder.section_at("train", Train):
        train, node = at_train
        _hidden_labels_are_there(builder, train, node)
        _partial_has_init(builder, train, node)
        _guidance_has_classes(builder, train)
        _guidance_has_effect(builder)


def refusal(metric: Metric, features: Features | None, registry: Registry) -> str:
    """Why a metric cannot be computed from features (or from none), and what to write; or ""."""
    # Features that cannot classify need not have the option.
    output = getattr(features, "output", "features") if features else None
    if metric.needs in (None, output):
        return ""
    name, used = registry.name_of(metric), registry.name_of(features) if features else None
    has = f"{used} gives {output}; " if used else ""
    write = {"name": name, "features": {"name": _able(used, registry), "output": metric.needs}}
    return f"{name} needs features that give {metric.needs}; {has}write {flow(write)}"


def _metrics_have_features(builder: Builder, tree: Node) -> None:
    """Each metric has features, and of the kind that it needs."""
    given = tree.mapping.get("features")
    shared = builder.built.get("features")
    usual = cast(Features, shared.value) if shared else None
    for path, built in builder.built.items():
        if built.kind != "metric":
            continue
        metric = cast(Metric, built.value)
        features = metric.features or usual
        if not features and given and given.value is not None:
            continue  # what is wrong with the recipe's features is told already
        message = refusal(metric, features, builder.registry)
        if not features and not message:
            message = "needs features: name some in the recipe (features: …) or in the metric"
        if message:
            builder.problem(built.node.origin, path, message)


def _latents_stay(builder: Builder, tree: Node) -> None:
    """What is encoded once cannot be changed in every step."""
    codec, given = builder.built.get("codec"), tree.mapping.get("augment")
    if codec and isinstance(codec.value, LatentCodec) and given and given.value:
        name = builder.registry.name_of(codec.value)
        message = f"codec {name} encodes each image once, before training: leave augment out"
        builder.problem(given.origin, "augment", message)


def _able(used: str | None, registry: Registry) -> str:
    """Features with the option ``output``: those in use, or the first that there are."""
    for name in filter(None, [used, *(entry.name for entry in registry.entries("features"))]):
        with suppress(InputError):  # a package may be broken
            if "output" in options(registry.find("features", name).load()):
                return name
    return "…"


def _grid_has_images(builder: Builder, sample: Sample, node: Node) -> None:
    given, count = node.mapping, sample.count
    columns, rows = sample.layout
    if columns * rows > count and sample.num_images and sample.grid:
        at = given.get("grid") or given.get("num_images") or node
        message = f"{columns} x {rows} pictures are more than num_images {count}"
        builder.problem(at.origin, "sample.grid", f"{message}; leave one of them out")
    if sample.classes and len(sample.classes) > count:
        message = f"{len(sample.classes)} classes are more than num_images {count}"
        builder.problem(given["classes"].origin, "sample.classes", message)


def _hidden_labels_are_there(builder: Builder, train: Train, node: Node) -> None:
    if train.condition is None and train.drop_label is not None:
        at = node.mapping["drop_label"]
        builder.problem(at.origin, "train.drop_label", UNCONDITIONAL)


def _partial_has_init(builder: Builder, train: Train, node: Node) -> None:
    if train.init_partial and train.init is None:
        message = "has no effect without train.init: name a run there, or leave it out"
        builder.problem(node.mapping["init_partial"].origin, "train.init_partial", message)


def _guidance_has_classes(builder: Builder, train: Train) -> None:
    """Only a network that was trained with classes, and without them too, can be guided."""
    for path, node, guided in _conditional(builder):
        message = ""
        if train.condition is None:
            message = UNCONDITIONAL
        elif guided and not train.drops:
            message = "needs a network that has seen images without their labels"
            message += ": make train.drop_label larger than 0"
        if message:
            builder.problem(node.origin, path, message)


def _guidance_has_effect(builder: Builder) -> None:
    """A guidance that is given has a scale, and in training it names no run."""
    for path, (section, node) in _drawing_sections(builder):
        given, scale = node.mapping.get("guidance"), section.guidance_scale
        if (
            given is None
            or builder.registry.name_of(section.guidance, "guidance") == USUAL_GUIDANCE
        ):
            continue
        if path == "train.validate" and hasattr(section.guidance, "run"):
            message = "names a run, which training does not load: guide sample and evaluate by it"
            builder.problem(given.origin, f"{path}.guidance", message)
        elif scale == 1:
            message = "has no effect with guidance_scale 1: give another scale, or leave it out"
            builder.problem(given.origin, f"{path}.guidance", message)


def _drawing_sections(
    builder: Builder,
) -> Iterator[tuple[str, tuple[Validate | Sample | Evaluate, Node]]]:
    """The sections that say how images are drawn, as far as they were built."""
    sections: dict[str, tuple[Validate | Sample | Evaluate, Node] | None] = {
        "train.validate": builder.section_at("train.validate", Validate),
        "sample": builder.section_at("sample", Sample),
        "evaluate": builder.section_at("evaluate", Evaluate),
    }
    yield from ((path, at) for path, at in sections.items() if at)


def _conditional(builder: Builder) -> Iterator[tuple[str, Node, bool]]:
    """The options given that only classes have a use for, and whether each is guidance."""
    for path, (section, node) in _drawing_sections(builder):
        by_label = section.guidance.needs_labels
        if "guidance_scale" in node.mapping and section.guidance_scale != 1 and by_label:
            yield f"{path}.guidance_scale", node.mapping["guidance_scale"], True
        if isinstance(section, Sample) and section.classes is not None:
            yield f"{path}.classes", node.mapping["classes"], False
