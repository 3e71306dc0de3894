"""A run: the whole way of the data, from a recipe to images, a model, samples and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..artifacts.embed import embed, read_features
from ..artifacts.neighbours import neighbours
from ..artifacts.prepare import prepare, read_images
from ..artifacts.sample import draw_samples
from ..artifacts.score import score
from ..artifacts.session import Session
from ..artifacts.trace import trace
from ..artifacts.train import train
from ..diffusion.model import model_facts
from ..machine import choose_device
from ..plugin.registry import Registry
from ..recipe.load import load
from ..recipe.schema import Recipe
from ..store.store import Artifact
from ..training.trackers import check_trackers
from ..training.validate import Measure
from .cache import open_store
from .claim import check_place, claimed, folder_for, has_finished
from .command import run_command
from .finished import RUNS, Run
from .folder import RunArtifacts, RunFolder
from .metrics import by_name, features_of, metrics_in
from .page import write_run_page
from .probe import probe
from .requests import pictures_request, scored_protocol, scored_request
from .results import DryRunResult, RunResult


def run(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    plugins: Sequence[Path] = (),
    dry_run: bool = False,
    fresh: bool = False,
    store: Path | None = None,
    device: str = "auto",
    replace: bool = False,
) -> RunResult | DryRunResult:
    """Go the whole way of the data, into ``runs/<name>/``; what the store has is not made again.

    Without a ``name`` a recipe finds its own run again, or takes the next free name; the name of
    another recipe's run is refused unless ``replace`` is given. ``overrides`` are like
    ``train.epochs=80``, ``plugins`` are files of plugins. ``dry_run`` stops after the checks;
    ``fresh`` makes everything anew. Returns what ``run.json`` holds, with the run's folder, the
    store, the sizes of artifacts in bytes and the seconds it took.
    """
    registry = Registry.load(plugins)
    loaded = load(recipe, overrides, registry=registry, name=name)
    check_place(name)
    if loaded.recipe.train.trackers:
        check_trackers(loaded.recipe.train.trackers)
    if dry_run:
        path = folder_for(loaded) if name is None else RUNS / name
        return {"name": path.name, "recipe": loaded.data, "probe": probe(loaded.recipe)}
    if not has_finished(folder_for(loaded) if name is None else RUNS / name, loaded):
        probe(loaded.recipe)  # before anything is made
    session = Session(registry, open_store(store, fresh), choose_device(device))
    started = time.monotonic()
    command = run_command(recipe, overrides, name, plugins, store, device)
    with claimed(loaded, name, replace) as path:
        folder = RunFolder(path, loaded, session, plugins, command)
        artifacts = make_all(loaded.recipe, session, folder)
        record = folder.finish(artifacts)
        write_run_page(Run(path, record, tuple(plugins), session.store.root))
    return {
        **record,
        "folder": str(path),
        "store": str(session.store.root),
        "sizes": {name: artifact.size for name, artifact in artifacts.by_name().items()},
        "seconds": time.monotonic() - started,
    }


def make_all(recipe: Recipe, session: Session, folder: RunFolder) -> RunArtifacts:
    """Each arrow of the way of the data, in order: from the store if it is there."""
    features = [features_of(metric, recipe) for metric in metrics_in(recipe)]
    for stage in features:
        session.extractor(stage)  # weights that are missing fail first
    embedded: dict[str, Artifact] = {}
    images = prepare(recipe, session)
    measures = _measures(recipe, images, embedded, session)
    validation_features = dict(embedded)
    folder.begin()
    with folder.telling_failure():
        model = train(recipe, images, measures, folder.watch, session)
    pictures = pictures_request(recipe, model_facts(model.path).class_names)
    samples = draw_samples(model, pictures, session)
    way = trace(model, pictures, session)
    scored, scores = _scores(recipe, images, model, embedded, session)
    nearest = neighbours(images, samples, features[0] if features else None, session)
    return RunArtifacts(
        images=images,
        validation_features=validation_features,
        model=model,
        samples=samples,
        trace=way,
        scored_samples=scored,
        scored_features={k: v for k, v in embedded.items() if k not in validation_features},
        scores=scores,
        neighbours=nearest,
    )


def _measures(
    recipe: Recipe, images: Artifact, embedded: dict[str, Artifact], session: Session
) -> list[Measure]:
    """The metrics of validation, with the features of the real images that they compare to."""
    measures = []
    for name, metric in by_name(recipe.train.validate.metrics, session.registry).items():
        features = features_of(metric, recipe)
        real = embed(images, "validation", features, session)
        _keep(embedded, "features of validation images", real, session.registry.name_of(features))
        measures.append(Measure(name, metric, session.extractor(features), read_features(real)))
    return measures


def _scores(
    recipe: Recipe,
    images: Artifact,
    model: Artifact,
    embedded: dict[str, Artifact],
    session: Session,
) -> tuple[Artifact | None, dict[str, Artifact]]:
    """The section ``evaluate``: sample, embed, score. The scored samples, and scores by metric."""
    if recipe.evaluate is None:
        return None, {}
    split, reader = recipe.evaluate.split, read_images(images)
    request = scored_request(recipe, reader)
    samples = draw_samples(model, request, session)
    protocol = {**scored_protocol(request, session.registry, reader), "split": split}
    scores = {}
    for name, metric in by_name(recipe.evaluate.metrics, session.registry).items():
        features = features_of(metric, recipe)
        real, fake = (
            embed(images, split, features, session),
            embed(samples, "all", features, session),
        )
        called = session.registry.name_of(features)
        _keep(embedded, f"features of {split} images", real, called)
        _keep(embedded, "features of scored samples", fake, called)
        scores[name] = score(real, fake, metric, protocol, session)
    return samples, scores


def _keep(embedded: dict[str, Artifact], words: str, artifact: Artifact, features: str) -> None:
    """Keep features under these words, with their network's name where others have the words.

    What is kept first stays: built for validation, they are told as built although the scores use
    them again.
    """
    if words in embedded and embedded[words].key != artifact.key:
        words = f"{words} ({features})"
    embedded.setdefault(words, artifact)
