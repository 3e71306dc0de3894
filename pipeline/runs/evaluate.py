"""Scores of a finished run, or of a folder of images, against real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL.Image import Image as Picture, open as open_picture

from ..artifacts.embed import Part, embed
from ..artifacts.prepare import prepare_images, read_images
from ..artifacts.sample import draw_samples
from ..artifacts.score import read_score, score
from ..artifacts.session import Session
from ..diagnosis.curves import ENOUGH, too_few
from ..diagnosis.finding import Finding
from ..diffusion.measure import score_record
from ..errors import InputError
from ..format import evenly
from ..machine import choose_device
from ..plugin.contracts import Features, Metric
from ..plugin.data import Source
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.build import build_stage
from ..recipe.load import load_folder, spec_of
from ..recipe.schema import Recipe
from ..records import Plain, ScoreRecord
from ..store.place import open_store
from ..store.store import Artifact
from .asked import check_length
from .drawing import check_conditioning
from .finished import Run
from .layout import RECIPE, RUNS
from .metrics import with_features
from .opened import open_run
from .other import with_worse
from .requests import precision_of, scored_protocol, scored_request, scored_split
from .resolve import is_run
from .results import EvaluateResult

STAGES = ("sampler", "spacing", "guidance")
DRAWING = ("num_images", "num_steps", *STAGES, "guidance_scale", "seed", "precision", "ema")
"""Options of ``evaluate`` that change how a run's samples are drawn."""


@dataclass(frozen=True)
class Side:
    """Images to compare, and what is to be said of them in the protocol."""

    name: str
    images: Artifact
    part: Part
    shape: tuple[int, ...]
    """Channels, height and width of the images that are scored."""
    protocol: Plain = field(default_factory=dict)
    folder: Plain | None = None
    """How big a folder's images are as they stand there, and how they are preprocessed."""


def evaluate(
    what: Path,
    *,
    against: Path | None = None,
    metrics: Sequence[str] = ("kid",),
    features: str | Sequence[str] | None = None,
    size: int | None = None,
    num_images: int | None = None,
    num_steps: int | None = None,
    spacing: str | None = None,
    sampler: str | None = None,
    guidance: str | None = None,
    guidance_scale: float | None = None,
    seed: int | None = None,
    precision: str | None = None,
    ema: float | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> EvaluateResult:
    """Score a run's samples, or a folder's images, ``against`` a folder or a run's real images.

    An existing folder comes before a run of its name. A run is compared with its own real images
    unless ``against`` says otherwise. A folder's images are preprocessed as the run's are; with
    ``size``, cropped to squares and resized. Unlike sizes are an InputError, and so are images that
    would be enlarged without it. ``num_images`` to ``ema`` change how a run's samples are drawn, as
    ``sample`` has them. ``metrics``, ``features``, ``spacing``, ``sampler`` and ``guidance`` are
    names, or ``{name: ddim}``; by several ``features`` each metric is measured with each.
    """
    stages = sampler, spacing, guidance
    given = (num_images, num_steps, *stages, guidance_scale, seed, precision, ema)
    check_length(ema)
    drawing = {name: v for name, v in zip(DRAWING, given, strict=True) if v is not None}
    where = store, device, trust_plugins
    run, other = (_opened(path, plugins, *where) for path in (what, against))
    _check(what, against, run, other, size, drawing)
    known = run or other
    recipe = known.checked_recipe if known else None
    session = known.session if known else _session(plugins, store, device)
    built = _metrics(metrics, session)
    _check_sides(what, known or against, built)
    pairs = with_features(built, features, recipe, session.registry)
    fake = _drawn(run, drawing) if run else _folder(what, size, recipe, session)
    real = _real(against, run, other, size, session)
    _refuse_unlike(fake, real or fake)
    scores = _scores(pairs, real or fake, fake, session)  # without, no metric looks at them
    result: EvaluateResult = {
        "what": str(what),
        "against": str(against or what),
        "scores": scores,
        "diagnosis": [finding.record() for finding in _findings(fake, real, scores)],
    }
    if run and "unfinished" in run.record:
        result["unfinished"] = run.record["unfinished"]
    return result


def _check_sides(what: Path, other: object, metrics: Sequence[Metric]) -> None:
    """InputError where a metric that compares has nothing to compare with."""
    if not other and any(metric.ideal is not None for metric in metrics):
        raise InputError(f"{what} is a folder of images: say with --against what to compare it to")


def _scores(
    pairs: Mapping[str, tuple[Metric, Features]], real: Side, fake: Side, session: Session
) -> dict[str, ScoreRecord]:
    protocol = {**fake.protocol, **real.protocol, "resolution": list(fake.shape[1:])}
    if folders := {k: s.folder for k, s in (("fake", fake), ("real", real)) if s.folder}:
        protocol["folders"] = folders
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
    path: Path | None,
    plugins: Sequence[Path],
    store: Path | None,
    device: str,
    trust_plugins: bool,
) -> Run | None:
    if path is None or not is_run(path):
        return None
    if path.is_dir() and not (path / RECIPE).is_file():
        note(f"{path}: the folder here is taken; write {RUNS / path} for the run of this name")
        return None
    return open_run(path, plugins=plugins, store=store, device=device, trust_plugins=trust_plugins)


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
    if size and run and (other or not against):
        raise InputError("--size: is for the images of folders; those of a run have its resolution")


def _drawn(run: Run, drawing: Mapping[str, int | float | str]) -> Side:
    """A run's samples: as its recipe scores them, but for ``drawing``."""
    images = run.image_facts()
    stages = {
        kind: run.stage(kind, str(drawing[kind]), f"--{kind}") for kind in STAGES if kind in drawing
    }
    chosen = {**drawing, **stages}
    if (length := chosen.pop("ema", None)) is not None:
        chosen |= {"length": length, "checkpoint": "last"}
    request = replace(scored_request(run.checked_recipe, images), **chosen)
    check_conditioning(run.recipe["train"], None, request.guidance_scale, request.guidance)
    request = with_worse(request, run.session.store.root)
    section = "evaluate" if run.recipe["evaluate"] else "sample"
    precision = precision_of(drawing.get("precision"), run.recipe, section, run.session.device)
    request = replace(request, precision=precision)
    samples = draw_samples(run.artifact("model"), request, run.session)
    protocol = scored_protocol(request, run.session.registry, images)
    return Side(run.name, samples, "all", images.shape, protocol)


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
    shape = known.images().shape
    return Side(known.name, known.artifact("images"), split, shape, {"split": split})


def _folder(path: Path, size: int | None, recipe: Recipe | None, session: Session) -> Side:
    """A folder's images, all of them, preprocessed as ``size`` or else the run's recipe asks."""
    folder = load_folder(path, size, session.registry)
    stages = recipe.preprocess if recipe and size is None else folder.preprocess
    images = prepare_images(folder.dataset, stages, session)
    shape, sizes = read_images(images).shape, _sizes(folder.dataset())
    if size is None and min(sizes[0]) < min(shape[1:]):
        raise InputError(
            f"{path}: has images of {_words(sizes[0])}, which would be enlarged to "
            f"{_words(shape[1:][::-1])}; give --size {min(shape[1:])} if they should be"
        )
    told = {
        "sizes": [_words(one) for one in dict.fromkeys((sizes[0], sizes[-1]))],
        "preprocess": [session.registry.spec(stage) for stage in stages],
    }
    return Side(str(path), images, "train", shape, {"split": "all"}, told)


def _sizes(source: Source) -> list[tuple[int, int]]:
    """Widths and heights in a dataset, by the number of pixels, of 1,000 images at most."""
    pictures = [source.image(i) for i in evenly(len(source), 1000)]
    sizes = {_size(picture) for picture in pictures}
    return sorted(sizes, key=lambda size: (size[0] * size[1], size))


def _size(picture: Path | Picture) -> tuple[int, int]:
    if isinstance(picture, Path):
        with open_picture(picture) as opened:
            return opened.size
    return picture.size


def _words(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _refuse_unlike(fake: Side, real: Side) -> None:
    """InputError where the scored images and the real ones are not of one size."""
    if fake.shape == real.shape:
        return
    (one, two), side = (_words(s.shape[::-1]) for s in (fake, real)), min(real.shape[1:])
    advice = "compare runs of one resolution"
    if fake.folder or real.folder:
        side = min((fake if real.folder and not fake.folder else real).shape[1:])
        advice = f"give --size {side} to crop a folder's images to squares and resize them"
    raise InputError(f"{fake.name} has images of {one}, {real.name} of {two}: {advice}")


def _findings(fake: Side, real: Side | None, scores: Mapping[str, ScoreRecord]) -> list[Finding]:
    """Why the scores cannot be trusted, as a run's diagnosis says it."""
    found = []
    if real and real.images.content == fake.images.content:
        what = "These are the same images: their scores tell nothing."
        found.append(Finding("compared with itself", what, "Give other images with --against."))
    more = f"add images to {fake.name}" if fake.folder else f"set --num-images to {ENOUGH}"
    few = [too_few(name, score["protocol"], more) for name, score in scores.items() if real]
    return [*found, *filter(None, few)]
