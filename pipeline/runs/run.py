"""A run: the whole way of the data, from a recipe to images, a model, samples and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..artifacts.anchors import Scale, anchors
from ..artifacts.embed import embed, read_features
from ..artifacts.encode import encode
from ..artifacts.neighbours import neighbours
from ..artifacts.prepare import prepare, read_images
from ..artifacts.sample import draw_samples
from ..artifacts.score import score
from ..artifacts.session import Session
from ..artifacts.trace import trace
from ..diffusion.model import model_facts
from ..machine import choose_device
from ..plugin.registry import Registry
from ..progress import note
from ..ranks import here
from ..recipe.load import load
from ..recipe.schema import Recipe
from ..records import AnchorRecord
from ..store.place import open_store, store_root
from ..store.store import Artifact
from ..training.batches import check_shares
from ..training.init import Init
from ..training.trackers import check_trackers
from ..training.validate import Measure
from .claim import check_place, claimed, folder_for, has_finished
from .command import run_command
from .estimate import estimate
from .finished import Run
from .fitting import train_or_advise
from .folder import RunArtifacts, RunFolder
from .init import init_of
from .layout import RUNS
from .live import Live
from .metrics import by_name, features_of, metrics_in, with_features
from .origin import naming_copies
from .other import check_guidances, with_worse
from .page import write_run_page
from .photos import Photos, load_photos
from .precision import check_precisions
from .probe import probe
from .requests import pictures_request, scored_protocol, scored_request
from .results import DryRunResult, RunResult
from .settle import settled
from .smoke import smoked


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
    data: Path | None = None,
    size: int = 64,
    conditional: bool = False,
    live: bool = False,
    smoke: bool = False,
) -> RunResult | DryRunResult:
    """Go the whole way of the data, into ``runs/<name>/``; what the store has is not made again.

    Without a ``name`` a recipe finds its own run again, or takes the next free name; the name of
    another recipe's run is refused unless ``replace`` is given. ``overrides`` are like
    ``train.epochs=80``, ``plugins`` are files of plugins. ``dry_run`` stops after the checks and
    estimates time and memory; ``fresh`` makes everything anew. ``data`` is a folder of photos for
    the recipe ``photos``: pictures of ``size`` pixels, by class if ``conditional``. ``live`` shows
    curves and pictures in a notebook, renewed at each validation. ``smoke`` goes the whole way with
    two steps and four images, in a run of its own. Returns what ``run.json`` holds, with the run's
    folder, the store, the sizes of artifacts in bytes and the seconds it took.
    """
    display = Live() if live else None
    registry = Registry.load(plugins)
    check_place(name)
    photos = Photos(data, size, conditional) if data else None
    chosen: dict[str, str] = {}
    if photos is None:
        with naming_copies(recipe, plugins):
            loaded = load(recipe, overrides, registry=registry, name=name)
    else:
        loaded, chosen = load_photos(recipe, photos, overrides, name, registry, device)
        for setting, why in chosen.items():
            note(f"{setting}: {why}")
    on = choose_device(device)
    if smoke:
        loaded = smoked(loaded, registry)
        name, replace = loaded.base, True  # the place of an earlier trial
    loaded = settled(loaded, name, on, registry)
    check_shares(loaded.recipe.train, here().size)
    if loaded.recipe.train.trackers:
        check_trackers(loaded.recipe.train.trackers)
    own = folder_for(loaded) if name is None else RUNS / name
    init = init_of(loaded.recipe, registry, store_root(store), own)
    check_guidances(loaded.recipe, store_root(store), own)
    if dry_run or not has_finished(own, loaded):
        check_precisions(loaded.data, on)
        facts = probe(loaded.recipe, init)  # before anything is made
        if dry_run:
            expected = estimate(loaded, facts, plugins, on)
            return {"name": own.name, "recipe": loaded.data, "probe": facts, "estimate": expected}
    session = Session(registry, open_store(store, fresh), on)
    started = time.monotonic()
    command = run_command(
        recipe, overrides, name, plugins, store, device, photos.options if photos else ()
    )
    with claimed(loaded, name, replace) as path:
        folder = RunFolder(path, loaded, session, plugins, command, chosen, display)
        artifacts = make_all(loaded.recipe, session, folder, init)
        record = folder.finish(artifacts)
        write_run_page(Run(path, record, tuple(plugins), session.store.root))
    sizes = {name: artifact.size for name, artifact in artifacts.by_name().items()}
    where, took = session.store.root, time.monotonic() - started
    return {**record, "folder": str(path), "store": str(where), "sizes": sizes, "seconds": took}


def make_all(
    recipe: Recipe, session: Session, folder: RunFolder, init: Init | None
) -> RunArtifacts:
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
        encoded = encode(recipe, images, session, init)
        model = train_or_advise(recipe, images, encoded, measures, folder, session, init)
    pictures = pictures_request(recipe, model_facts(model.path).class_names)
    pictures = with_worse(pictures, session.store.root)
    samples = draw_samples(model, pictures, session)
    way = trace(model, pictures, session)
    scored, scores = _scores(recipe, images, model, embedded, session)
    nearest = neighbours(images, samples, features[0] if features else None, session)
    ends = _anchors(recipe, images, model, session)
    return RunArtifacts(
        images=images,
        encoded=encoded,
        validation_features=validation_features,
        model=model,
        samples=samples,
        trace=way,
        scored_samples=scored,
        scored_features={k: v for k, v in embedded.items() if k not in validation_features},
        scores=scores,
        neighbours=nearest,
        anchors=ends,
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
        extractor = session.extractor(features)
        measures.append(Measure(name, metric, extractor, read_features(real), features))
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
    request = with_worse(scored_request(recipe, reader), session.store.root)
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


def _anchors(
    recipe: Recipe, images: Artifact, model: Artifact, session: Session
) -> dict[str, AnchorRecord]:
    """Between what the scores lie: real images, and a network that has learned nothing."""
    if recipe.evaluate is None:
        return {}
    request = with_worse(scored_request(recipe, read_images(images)), session.store.root)
    split = recipe.evaluate.split
    scale = Scale(recipe=recipe, images=images, model=model, request=request, split=split)
    metrics = with_features(recipe.evaluate.metrics, None, recipe, session.registry)
    return anchors(scale, metrics, session)


def _keep(embedded: dict[str, Artifact], words: str, artifact: Artifact, features: str) -> None:
    """Keep features under these words, with their network's name where others have the words.

    What is kept first stays: built for validation, they are told as built although the scores use
    them again.
    """
    if words in embedded and embedded[words].key != artifact.key:
        words = f"{words} ({features})"
    embedded.setdefault(words, artifact)
