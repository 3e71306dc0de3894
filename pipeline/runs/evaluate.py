"""Scores of a finished run, or of a folder of images, against real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..artifacts.embed import Part, embed
from ..artifacts.prepare import prepare_images, read_images
from ..artifacts.sample import draw_samples
from ..artifacts.score import read_score, score
from ..artifacts.session import Session
from ..diffusion.measure import score_record
from ..errors import InputError
from ..machine import choose_device
from ..plugin.contracts import Features, Metric
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.load import load_folder, spec_of
from ..recipe.schema import Recipe
from ..records import Plain, ScoreRecord
from ..store.store import Artifact
from .cache import open_store
from .drawing import check_conditioning
from .finished import Run, is_run, open_run
from .metrics import with_features
from .requests import scored_protocol, scored_request, scored_split
from .results import EvaluateResult

DRAWING = ("num_images", "num_steps", "spacing", "sampler", "guidance_scale", "seed")
"""Options of ``evaluate`` that change how a run's samples are drawn."""


@dataclass(frozen=True)
class Side:
    """Images to compare, and what is to be said of them in the protocol."""

    images: Artifact
    part: Part
    protocol: Plain = field(default_factory=dict)


def evaluate(
    what: Path,
    *,
    against: Path | None = None,
    metrics: Sequence[str] = ("kid",),
    features: str | None = None,
    size: int | None = None,
    num_images: int | None = None,
    num_steps: int | None = None,
    spacing: str | None = None,
    sampler: str | None = None,
    guidance_scale: float | None = None,
    seed: int | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> EvaluateResult:
    """Score a run's samples, or a folder's images, ``against`` a folder or a run's real images.

    A run is compared with its own real images unless ``against`` says otherwise. A folder's images
    are preprocessed as the run's are; without a run, cropped to squares and resized to ``size``.
    ``num_images`` to ``seed`` change how a run's samples are drawn. ``metrics``, ``features``,
    ``spacing`` and ``sampler`` are names, or texts like ``{name: ddim, eta: 1}``.
    """
    given = (num_images, num_steps, spacing, sampler, guidance_scale, seed)
    drawing = {name: v for name, v in zip(DRAWING, given, strict=True) if v is not None}
    run, other = (_opened(path, plugins, store, device) for path in (what, against))
    _check(what, against, run, other, size, drawing)
    known = run or other
    recipe = known.checked_recipe if known else None
    session = known.session if known else _session(plugins, store, device)
    built = _metrics(metrics, session)
    if not (run or against) and any(metric.ideal is not None for metric in built):
        raise InputError(f"{what} is a folder of images: say with --against what to compare it to")
    pairs = with_features(built, features, recipe, session.registry)
    fake = _drawn(run, drawing) if run else _folder(what, size, recipe, session)
    real = _real(against, run, other, size, session) or fake  # that no metric looks at
    return {
        "what": str(what),
        "against": str(against or what),
        "scores": _scores(pairs, real, fake, session),
    }


def _scores(
    pairs: Mapping[str, tuple[Metric, Features]], real: Side, fake: Side, session: Session
) -> dict[str, ScoreRecord]:
    shape = read_images(real.images).shape
    protocol = {"resolution": list(shape[1:]), **fake.protocol, **real.protocol}
    scores = {}
    for name, (metric, features) in pairs.items():
        sides = [embed(side.images, side.part, features, session) for side in (real, fake)]
        artifact = score(sides[0], sides[1], metric, protocol, session)
        scores[name] = score_record(read_score(artifact))
    return scores


def _metrics(texts: Sequence[str], session: Session) -> list[Metric]:
    return [
        build_stage(session.registry, "metric", spec_of(text, "--metric"), "--metric")
        for text in texts
    ]


def _opened(
    path: Path | None, plugins: Sequence[Path], store: Path | None, device: str
) -> Run | None:
    if path is None or not is_run(path):
        return None
    return open_run(path, plugins=plugins, store=store, device=device)


def _session(plugins: Sequence[Path], store: Path | None, device: str) -> Session:
    return Session(Registry.load(plugins), open_store(store), choose_device(device))


def _check(
    what: Path,
    against: Path | None,
    run: Run | None,
    other: Run | None,
    size: int | None,
    drawing: Mapping[str, object],
) -> None:
    """Raise InputError for options that would have no effect, and for missing ones."""
    if not run and not what.is_dir():
        open_run(what)  # says which runs there are
    if against and not other and not against.is_dir():
        raise InputError(f"--against {against}: no folder and no run is called so")
    if drawing and not run:
        names = ", ".join("--" + name.replace("_", "-") for name in drawing)
        raise InputError(f"{names}: {what} is a folder, nothing is drawn for it")
    if size and (run or other):
        raise InputError("--size: beside a run, images have the run's resolution")
    scale = drawing.get("guidance_scale")
    if run and isinstance(scale, int | float):
        check_conditioning(run.recipe["train"], None, scale)


def _drawn(run: Run, drawing: Mapping[str, int | float | str]) -> Side:
    """A run's samples: as its recipe scores them, but for ``drawing``."""
    images = run.images()
    stages = {
        kind: run.stage(kind, str(drawing[kind]), f"--{kind}")
        for kind in ("sampler", "spacing")
        if kind in drawing
    }
    request = replace(scored_request(run.checked_recipe, images), **{**drawing, **stages})
    samples = draw_samples(run.artifact("model"), request, run.session)
    return Side(samples, "all", scored_protocol(request, run.session.registry, images))


def _real(
    against: Path | None, run: Run | None, other: Run | None, size: int | None, session: Session
) -> Side | None:
    """What is compared with; None where nothing is."""
    if against and not other:
        return _folder(against, size, run.checked_recipe if run else None, session)
    known = other or run
    if known is None:
        return None
    split = scored_split(known.checked_recipe)
    return Side(known.artifact("images"), split, {"split": split})


def _folder(path: Path, size: int | None, recipe: Recipe | None, session: Session) -> Side:
    """A folder's images, all of them, preprocessed as the run's are."""
    folder = load_folder(path, size, session.registry)
    stages = recipe.preprocess if recipe else folder.preprocess
    return Side(prepare_images(folder.dataset, stages, None, session), "train", {"split": "all"})
