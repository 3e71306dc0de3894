"""Scores of a finished run, or of a folder of images, against real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..artifacts.embed import Embedder, Part
from ..artifacts.prepare import FILE, prepare_images
from ..artifacts.sample import sample
from ..artifacts.score import read_score, score_artifact
from ..diffusion.generate import SampleRequest
from ..diffusion.images import Images
from ..diffusion.measure import as_data
from ..errors import InputError
from ..machine import choose_device
from ..plugin.contracts import Features, Metric
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.load import build_recipe, load_folder, spec_of
from ..recipe.rules import refusal
from ..recipe.schema import Recipe, Spacing
from ..store.store import Artifact, Store
from .folder import is_run, open_store, plugins_of, read_run, store_of
from .run import features_of, named, protocol_of, scored_of, split_of
from .sample import check_conditioning

About = Mapping[str, Any]
"""A run's ``run.json``."""


@dataclass(frozen=True)
class Side:
    """Images to compare, and what is to say of them in the protocol."""

    images: Artifact
    part: Part
    protocol: Mapping[str, Any] = field(default_factory=dict)


def evaluate(
    what: Path,
    *,
    against: Path | None = None,
    metrics: Sequence[str] = ("kid",),
    features: str | None = None,
    size: int | None = None,
    num_images: int | None = None,
    num_steps: int | None = None,
    spacing: Spacing | None = None,
    sampler: str | None = None,
    guidance_scale: float | None = None,
    seed: int | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Scores of a run's samples, or of a folder's images, ``against`` a folder or a run's images.

    A run is compared with its own real images unless ``against`` says otherwise. A folder's images
    are preprocessed as the run's are; without a run, cropped to squares and resized to ``size``.
    """
    registry = Registry.load(plugins)
    drawing = {
        "num_images": num_images,
        "num_steps": num_steps,
        "spacing": spacing,
        "sampler": sampler,
        "guidance_scale": guidance_scale,
        "seed": seed,
    }
    drawing = {name: value for name, value in drawing.items() if value is not None}
    run = read_run(what) if is_run(what) else None
    other = read_run(against) if against and is_run(against) else None
    _check(what, against, run, other, size, drawing)
    if run and guidance_scale is not None:
        check_conditioning(run["recipe"]["train"], None, guidance_scale)
    about = run or other
    kept = store_of(about, store) if about else open_store(store)
    with plugins_of(about or {"plugins": ()}, plugins):
        recipe = recipe_of_run(about, registry) if about else None
    built = [
        build_stage(registry, "metric", spec_of(text, "--metric"), "--metric") for text in metrics
    ]
    compared = any(getattr(metric, "ideal", 0.0) is not None for metric in built)
    if compared and not run and not against:
        raise InputError(f"{what} is a folder of images: say with --against what to compare it to")
    wanted = metrics_of(built, features, recipe, registry)
    place = choose_device(device)
    if run:
        fake = _drawn(run, drawing, registry, kept, place)
    else:
        fake = _folder(what, size, recipe, registry, kept)
    if against and not other:
        real = _folder(against, size, recipe, registry, kept)
    elif other or run:
        real = _real(other or run or {}, registry, kept)
    else:
        real = fake  # that no metric looks at
    embedder = Embedder(registry, kept, place)
    found = {}
    for name, (metric, chosen) in wanted.items():
        sides = [embedder(side.images, side.part, chosen) for side in (real, fake)]
        shape = Images(real.images.path / FILE).shape
        protocol = {"resolution": list(shape[1:]), **fake.protocol, **real.protocol}
        scored = score_artifact(sides[0], sides[1], metric, protocol, registry, kept)
        found[name] = as_data(read_score(scored))
    return {"what": str(what), "against": str(against or what), "scores": found}


def metrics_of(
    built: Sequence[Metric], features: str | None, recipe: Recipe | None, registry: Registry
) -> dict[str, tuple[Metric, Features]]:
    """Each metric, by name, with its features: those asked for, its own, or the recipe's."""
    asked = None
    if features:
        asked = build_stage(registry, "features", spec_of(features, "--features"), "--features")
    found = {}
    for name, metric in named(built, registry).items():
        if asked and getattr(metric, "features", None):
            raise InputError(f"--features: {name} names features of its own")
        own = asked or getattr(metric, "features", None) or (recipe.features if recipe else None)
        if message := refusal(metric, own, registry):
            raise InputError(f"--metric {message}")
        found[name] = metric, asked or features_of(metric, recipe)
    return found


def _check(
    what: Path,
    against: Path | None,
    run: About | None,
    other: About | None,
    size: int | None,
    drawing: Mapping[str, Any],
) -> None:
    """Raise InputError for options that would have no effect, and for missing ones."""
    if not run and not what.is_dir():
        read_run(what)  # says which runs there are
    if against and not other and not against.is_dir():
        raise InputError(f"--against {against}: no folder and no run is called so")
    if drawing and not run:
        names = ", ".join("--" + name.replace("_", "-") for name in drawing)
        raise InputError(f"{names}: {what} is a folder, nothing is drawn for it")
    if size and (run or other):
        raise InputError("--size: beside a run, images have the run's resolution")


def recipe_of_run(about: About, registry: Registry) -> Recipe:
    """The recipe that a finished run was made with."""
    return build_recipe(registry, about["recipe"], str(about["folder"]))


def _images(about: About, store: Store) -> tuple[Artifact, Images]:
    """A run's real images; they are in the store, the dataset need not be there."""
    found = store.open("images", about["artifacts"]["images"]["key"])
    return found, Images(found.path / FILE)


def _real(about: About, registry: Registry, store: Store) -> Side:
    split = split_of(recipe_of_run(about, registry))
    return Side(_images(about, store)[0], split, {"split": split})


def _drawn(
    about: About, drawing: Mapping[str, Any], registry: Registry, store: Store, device: str
) -> Side:
    """A run's samples: as its recipe scores them, but for ``drawing``."""
    recipe = recipe_of_run(about, registry)
    images = _images(about, store)[1]
    changes = dict(drawing)
    if "sampler" in changes:
        changes["sampler"] = build_stage(
            registry, "sampler", spec_of(changes["sampler"], "--sampler"), "--sampler"
        )
    order: SampleRequest = replace(scored_of(recipe, images), **changes)
    model = store.open("model", about["artifacts"]["model"]["key"])
    drawn = sample(model, order, registry, store, device)
    return Side(drawn, "all", protocol_of(order, registry, images))


def _folder(
    path: Path, size: int | None, recipe: Recipe | None, registry: Registry, store: Store
) -> Side:
    """A folder's images, all of them, preprocessed as the run's are."""
    folder = load_folder(path, size, registry)
    stages = recipe.preprocess if recipe else folder.preprocess
    images = prepare_images(folder.dataset, stages, None, registry, store)
    return Side(images, "train", {"split": "all"})
