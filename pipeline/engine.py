"""The whole way of the data, as one list: from a recipe to images, a model, samples and scores."""

from __future__ import annotations

from typing import Any

from .contracts import Features, Metric, Score
from .embed import Embedder, read_features
from .errors import InputError
from .images import Images
from .prepare import FILE, prepare
from .recipe import Evaluate, Recipe
from .registry import Registry
from .runs import RunFolder
from .sample import Order, sample
from .score import read_score, score_artifact
from .store import Artifact, Store
from .train import train
from .validate import Measure

Made = dict[str, Artifact]
"""What a run made, by the name it has in the summary."""


def run(
    recipe: Recipe, registry: Registry, store: Store, folder: RunFolder, device: str
) -> tuple[Made, dict[str, Score]]:
    """Prepare, embed, train, sample, embed, score: each from the store where it is there."""
    embedder = Embedder(registry, store, device)
    made: Made = {}
    made["images"] = images = prepare(recipe, registry, store)
    measures = []
    for metric in recipe.train.validate.metrics:
        features = features_of(metric, recipe)
        real = made["features of validation images"] = embedder(images, "validation", features)
        extractor = embedder.extractor(features)
        name = registry.name_of(metric)
        measures.append(Measure(name, metric, features, extractor, read_features(real), real.key))
    made["model"] = model = train(recipe, registry, store, images, measures, device, folder.watch)
    made["samples"] = sample(model, pictures_of(recipe), registry, store, device)
    if recipe.evaluate is None:
        return made, {}
    split = recipe.evaluate.split
    order = scored_of(recipe, Images(images.path / FILE))
    made["scored samples"] = drawn = sample(model, order, registry, store, device)
    scores = {}
    for metric in recipe.evaluate.metrics:
        features, name = features_of(metric, recipe), registry.name_of(metric)
        made[f"features of {split} images"] = real = embedder(images, split, features)
        made["features of scored samples"] = fake = embedder(drawn, "all", features)
        protocol = {**protocol_of(order, registry, Images(images.path / FILE)), "split": split}
        made[name] = found = score_artifact(real, fake, metric, protocol, registry, store)
        scores[name] = read_score(found)
    return made, scores


def features_of(metric: Metric, recipe: Recipe | None) -> Features:
    """The metric's own features, or the recipe's."""
    own = getattr(metric, "features", None)
    found: Features | None = own or (recipe.features if recipe else None)
    if found is None:
        raise InputError("this metric needs features: give some, for example efficientnet_lite0")
    return found


def pictures_of(recipe: Recipe) -> Order:
    """The recipe's section ``sample``."""
    wanted = recipe.sample
    return Order(
        sampler=wanted.sampler,
        num_steps=wanted.num_steps,
        num_images=wanted.num_images,
        seed=recipe.seed,
        batch_size=wanted.batch_size,
    )


def scored_of(recipe: Recipe, images: Images) -> Order:
    """The recipe's section ``evaluate``: other noise than that of pictures and of validation.

    A recipe without the section is scored with the sampler of its pictures.
    """
    wanted = recipe.evaluate or Evaluate(
        sampler=recipe.sample.sampler, num_steps=recipe.sample.num_steps, metrics=[]
    )
    return Order(
        sampler=wanted.sampler,
        num_steps=wanted.num_steps,
        num_images=wanted.num_images or len(images.indices(wanted.split)),
        seed=recipe.seed,
        purpose="evaluate",
        batch_size=wanted.batch_size,
    )


def protocol_of(order: Order, registry: Registry, images: Images) -> dict[str, Any]:
    """What the engine knows of how scored images were made."""
    return {
        "sampler": registry.spec(order.sampler),
        "num_steps": order.num_steps,
        "nfe": order.sampler.nfe(order.num_steps),
        "checkpoint": order.choice,
        "weights": order.weights,
        "seed": order.seed,
        "resolution": list(images.shape[1:]),
    }
