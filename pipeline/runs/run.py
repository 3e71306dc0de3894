"""The whole way of the data, as one list: from a recipe to images, a model, samples and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..artifacts.embed import Embedder, read_features
from ..artifacts.neighbours import neighbours
from ..artifacts.prepare import FILE, prepare
from ..artifacts.sample import sample
from ..artifacts.score import read_score, score_artifact
from ..artifacts.trace import trace
from ..artifacts.train import train
from ..diffusion.generate import SampleRequest, conditioning
from ..diffusion.images import Images
from ..diffusion.labels import chosen_labels, split_labels
from ..diffusion.model import class_names_of
from ..errors import InputError
from ..plugin.contracts import Features, Metric, Score
from ..plugin.registry import Registry
from ..recipe.schema import Evaluate, Recipe
from ..store.store import Artifact, Store
from ..training.validate import Measure
from .folder import RunFolder

Made = dict[str, Artifact]
"""What a run made, by the name it has in the summary."""


def run(
    recipe: Recipe, registry: Registry, store: Store, folder: RunFolder, device: str
) -> tuple[Made, dict[str, Score]]:
    """Prepare, embed, train, sample, embed, score: each from the store where it is there."""
    embedder = Embedder(registry, store, device)
    used = [features_of(metric, recipe) for metric in metrics_in(recipe)]
    for features in used:
        embedder.extractor(features)  # weights that are missing fail first
    made: Made = {}
    made["images"] = images = prepare(recipe, registry, store)
    measures = []
    for name, metric in named(recipe.train.validate.metrics, registry).items():
        features = features_of(metric, recipe)
        real = embedder(images, "validation", features)
        _add(made, "features of validation images", real, registry.name_of(features))
        extractor = embedder.extractor(features)
        measures.append(Measure(name, metric, extractor, read_features(real)))
    folder.begin()
    with folder.telling_failure():
        model = train(recipe, registry, store, images, measures, device, folder.watch)
    made["model"] = model
    pictures = pictures_of(recipe, class_names_of(model.path))
    made["samples"] = sample(model, pictures, registry, store, device)
    made["trace"] = trace(model, pictures, registry, store, device)
    scores = _scored(made, recipe, embedder) if recipe.evaluate else {}
    space = used[0] if used else None
    made["neighbours"] = neighbours(images, made["samples"], space, embedder, registry, store)
    return made, scores


def _scored(made: Made, recipe: Recipe, embedder: Embedder) -> dict[str, Score]:
    """The section ``evaluate``: sample, embed, score."""
    assert recipe.evaluate is not None
    registry, store, split = embedder.registry, embedder.store, recipe.evaluate.split
    images = made["images"]
    order = scored_of(recipe, Images(images.path / FILE))
    made["scored samples"] = drawn = sample(made["model"], order, registry, store, embedder.device)
    scores = {}
    for name, metric in named(recipe.evaluate.metrics, registry).items():
        features = features_of(metric, recipe)
        real, fake = embedder(images, split, features), embedder(drawn, "all", features)
        _add(made, f"features of {split} images", real, registry.name_of(features))
        _add(made, "features of scored samples", fake, registry.name_of(features))
        protocol = {**protocol_of(order, registry, Images(images.path / FILE)), "split": split}
        made[name] = found = score_artifact(real, fake, metric, protocol, registry, store)
        scores[name] = read_score(found)
    return scores


def metrics_in(recipe: Recipe) -> list[Metric]:
    """All that a recipe measures, in validation first."""
    return [
        *recipe.train.validate.metrics,
        *(recipe.evaluate.metrics if recipe.evaluate else ()),
    ]


def _add(made: Made, name: str, artifact: Artifact, features: str) -> None:
    """Under its name; with that of the features where other ones have it."""
    taken = name in made and made[name].key != artifact.key
    made[f"{name} ({features})" if taken else name] = artifact


def named(metrics: Sequence[Metric], registry: Registry) -> dict[str, Metric]:
    """By name; a second ``kid`` is ``kid_2``."""
    names = [registry.name_of(metric) for metric in metrics]
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    unique = [name if n == 1 else f"{name}_{n}" for name, n in zip(names, counts, strict=True)]
    return dict(zip(unique, metrics, strict=True))


def directions(recipe: Recipe, registry: Registry) -> dict[str, dict[str, Any]]:
    """Of each metric of a recipe, by name: whether higher is better, and its ideal value."""
    scored = recipe.evaluate.metrics if recipe.evaluate else []
    metrics = named(recipe.train.validate.metrics, registry) | named(scored, registry)
    return {name: direction(metric) for name, metric in metrics.items()}


def direction(metric: Metric) -> dict[str, Any]:
    """Whether higher is better, and the ideal value."""
    return {
        "higher_is_better": getattr(metric, "higher_is_better", False),
        "ideal": getattr(metric, "ideal", 0.0),
    }


def features_of(metric: Metric, recipe: Recipe | None) -> Features:
    """The metric's own features, or the recipe's."""
    own = getattr(metric, "features", None)
    found: Features | None = own or (recipe.features if recipe else None)
    if found is None:
        raise InputError("this metric needs features: give --features, or features in the recipe")
    return found


def pictures_of(recipe: Recipe, class_names: Sequence[str] | None) -> SampleRequest:
    """The recipe's section ``sample``, for a network that knows these classes, if any."""
    wanted = recipe.sample
    return SampleRequest(
        sampler=wanted.sampler,
        num_steps=wanted.num_steps,
        spacing=wanted.spacing,
        labels=chosen_labels(wanted.classes, class_names) if class_names else None,
        guidance_scale=wanted.guidance_scale,
        num_images=wanted.num_images,
        seed=recipe.seed,
        batch_size=wanted.batch_size,
    )


def scored_of(recipe: Recipe, images: Images) -> SampleRequest:
    """The recipe's section ``evaluate``: other noise than that of pictures and of validation.

    A recipe without the section is scored with the sampler and the levels of its pictures.
    """
    like = recipe.sample
    wanted = recipe.evaluate or Evaluate(
        sampler=like.sampler,
        num_steps=like.num_steps,
        spacing=like.spacing,
        guidance_scale=like.guidance_scale,
        metrics=[],
    )
    labels = None
    if recipe.train.condition:
        labels = split_labels(images, wanted.split, recipe.seed, fresh=True)
    return SampleRequest(
        sampler=wanted.sampler,
        num_steps=wanted.num_steps,
        spacing=wanted.spacing,
        labels=labels,
        guidance_scale=wanted.guidance_scale,
        num_images=wanted.num_images or len(images.indices(wanted.split)),
        seed=recipe.seed,
        purpose="evaluate",
        batch_size=wanted.batch_size,
    )


def split_of(recipe: Recipe) -> Literal["validation", "train"]:
    """The real images that a recipe's samples are scored against."""
    return recipe.evaluate.split if recipe.evaluate else "validation"


def protocol_of(order: SampleRequest, registry: Registry, images: Images) -> dict[str, Any]:
    """What the engine knows of how scored images were made."""
    return {
        "sampler": registry.spec(order.sampler),
        "num_steps": order.num_steps,
        "spacing": order.spacing,
        **conditioning(order.labels, order.guidance_scale),
        "nfe": order.nfe,
        "checkpoint": order.choice,
        "weights": order.weights,
        "seed": order.seed,
        "resolution": list(images.shape[1:]),
    }
