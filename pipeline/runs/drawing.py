"""Samples of a finished run as they were asked for, and their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from ..artifacts.sample import draw_samples, read_samples
from ..artifacts.session import Session
from ..diffusion.generate import SampleRequest, Worse
from ..diffusion.grid import draw_grid, to_picture
from ..diffusion.labels import Labels, captions, chosen_labels
from ..diffusion.lettering import drawable
from ..diffusion.model import model_facts
from ..errors import InputError
from ..plugin.contracts import Guidance, Sampler, Spacing
from ..plugin.options import options as options_of_section
from ..plugin.registry import Registry
from ..plugin.values import NO_CLASS
from ..recipe.schema import MAX_GUIDANCE, Sample
from ..records import Plain
from ..store.store import Artifact
from ..system import fit
from .asked import Layout, SampleOptions, guidance_scale_of, layout_of
from .beginning import Beginning
from .pictures import png, write_pictures
from .requests import precision_of

AT_ONCE = 64
"""Images that are read at a time."""

CLASSES_SHOWN = 8
"""Classes that a folder's name tells; of more it has a digest."""


@dataclass(frozen=True)
class Drawn:
    """Samples that were asked for, and how they are shown."""

    request: SampleRequest
    samples: Artifact
    layout: Layout
    captions: list[str] | None
    """What stands below each image that the grid shows, where there are classes."""
    classes: dict[int, str]
    """The names of the classes that were drawn, by their numbers."""
    beginning: Beginning | None
    """The images that drawing began from."""


def draw(
    recipe: Plain,
    model: Artifact,
    stages: tuple[Sampler, Spacing, Guidance],
    worse: Worse | None,
    options: SampleOptions,
    beginning: Beginning | None,
    session: Session,
) -> Drawn:
    """Draw samples of a model as asked for; what is not given is as in its run's ``recipe``.

    ``worse`` is the model of another run that the guidance compares with.
    """
    usual, names = recipe["sample"], model_facts(model.path).class_names
    guidance = stages[2]
    labels, scale = _conditioning(recipe, options, names, guidance)
    layout = layout_of(options, usual, len(beginning.given.names) if beginning else 0)
    request = SampleRequest(
        sampler=stages[0],
        num_steps=options.num_steps or usual["num_steps"],
        spacing=stages[1],
        labels=labels,
        guidance=guidance,
        guidance_scale=scale,
        worse=worse,
        interpolate=options.interpolate,
        painting=beginning.painting if beginning else None,
        num_images=layout.count,
        batch_size=usual["batch_size"],
        seed=recipe["seed"] if options.seed is None else options.seed,
        checkpoint=options.checkpoint or ("best" if options.ema is None else "last"),
        weights=options.weights,
        length=options.ema,
        precision=precision_of(options.precision, recipe, "sample", session.device),
    )
    texts, classes = None, dict[int, str]()
    if labels and names:
        shown = [layout.labelled(i) for line in layout.lines for i in line]
        texts = captions(labels, shown, drawable(tuple(names)), scale)
        last = layout.labelled(layout.count - 1)
        every = range(min(last + 1, len(labels.values))) if scale else ()
        drawn = dict.fromkeys(labels.of(every).tolist())
        classes = {i: names[i] for i in drawn if i != NO_CLASS}
    samples = draw_samples(model, request, session)
    return Drawn(request, samples, layout, texts, classes, beginning)


def _conditioning(
    recipe: Plain, options: SampleOptions, names: Sequence[str] | None, guidance: Guidance
) -> tuple[Labels | None, float]:
    """The classes of the images and the scale of guidance. InputError for what the model cannot do.

    Images that others are made from are of no class unless it is said.
    """
    usual, train, asked = recipe["sample"], recipe["train"], options.guidance_scale
    scale = guidance_scale_of(options, usual)
    if options.image is None or options.classes or not names:
        check_conditioning(train, options.classes, scale, guidance)
        chosen = options.classes or usual["classes"]
        return (chosen_labels(chosen, names) if names else None), scale
    if guidance.needs_labels and asked not in (None, 0, 1):
        raise InputError(f"--guidance-scale {asked:g}: goes towards a class; give --classes too")
    if train["drop_label"] == 0:
        raise InputError(
            "this model was trained with drop_label 0 and knows nothing but images with labels: "
            "give --classes"
        )
    return Labels("no class", (NO_CLASS,)), 1.0 if guidance.needs_labels else scale


def check_conditioning(
    train: Mapping[str, Any],
    classes: Sequence[int | str] | None,
    guidance_scale: float,
    guidance: Guidance | None = None,
) -> None:
    """InputError for what a network that was trained so (a recipe's ``train``) cannot do."""
    if not 0 <= guidance_scale <= MAX_GUIDANCE:
        asked = f"--guidance-scale {guidance_scale:g}"
        raise InputError(f"{asked}: should be a number from 0 to {MAX_GUIDANCE:g}")
    by_label = guidance is None or guidance.needs_labels
    if classes and guidance_scale == 0 and by_label:
        raise InputError("--guidance-scale 0 draws without regard to classes: leave out --classes")
    guided = guidance_scale != 1 and by_label
    if train["condition"] is None and (classes or guided):
        what = f"--guidance-scale {guidance_scale:g}" if guided else "--classes"
        raise InputError(
            f"{what}: this model knows no classes; train one with train.condition: class"
        )
    if guided and train["drop_label"] == 0:
        raise InputError(
            f"--guidance-scale {guidance_scale:g}: this model was trained with drop_label 0 and "
            "knows nothing but images with labels; train one with train.drop_label: 0.1"
        )


def folder_name(request: SampleRequest, registry: Registry, *, chosen: bool) -> str:
    """The folder of samples that were asked so; ``chosen``: their classes were named."""
    spec = registry.describe(request.sampler)
    options = {k: v for k, v in spec.items() if k not in ("name", "code")}
    parts = [registry.name_of(request.sampler), *(f"{k}={v}" for k, v in options.items())]
    parts += [f"{request.num_steps}steps", f"seed{request.seed}"]
    if chosen and request.labels:
        values = ",".join(map(str, request.labels.values))
        digest = hashlib.sha256(values.encode()).hexdigest()[:8]
        parts.append(f"classes={values if len(request.labels.values) <= CLASSES_SHOWN else digest}")
    if request.guidance_scale != 1:
        parts.append(f"guidance={request.guidance_scale:g}")
        parts += _changed(request.guidance, "guidance", registry)
        parts += [f"by={request.worse.content[:8]}"] if request.worse else []
    parts += [f"interpolate={request.interpolate}"] * bool(request.interpolate)
    if request.painting:
        parts += painting_words(request.painting.ingredients())
    parts += _changed(request.spacing, "spacing", registry)
    told = (request.checkpoint, request.weights, request.precision)
    parts += [w for w in told if w not in ("best", "ema", "float32")]
    parts += [] if request.length is None else [f"ema={request.length:g}"]
    return fit("-".join(["samples", *parts]))


def _changed(stage: Spacing | Guidance, option: str, registry: Registry) -> list[str]:
    """The part of a folder's name that tells a stage with its options; none of the usual one."""
    brief = registry.brief(stage)
    if brief == options_of_section(Sample)[option].default:
        return []
    options = brief.items() if isinstance(brief, Mapping) else ()
    changed = [f"{k}={v}" for k, v in options if k not in ("name", "run")]
    return ["-".join([registry.name_of(stage), *changed])]


def painting_words(ingredients: Plain) -> list[str]:
    """The parts of a folder's name that tell what drawing began from, by digests."""
    words = [f"image={ingredients['images'][:8]}", f"strength={ingredients['strength']:g}"]
    return [*words, f"mask={ingredients['mask'][:8]}"] if "mask" in ingredients else words


def save_images(drawn: Drawn, folder: Path, run: str) -> None:
    """Write ``grid.png`` and ``images/`` in place of what was written there for the same run.

    InputError where that would take anything else.
    """
    beginning = drawn.beginning
    write_pictures(folder, _Files(drawn), run, beginning.told() if beginning else {})


class _Files(Mapping[str, bytes]):
    """The pictures of samples by their paths; each is made when it is asked for."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn, self.images = drawn, read_samples(drawn.samples)
        self.numbers = {f"images/{i:05d}.png": i for i in range(len(self.images))}
        self._few = lru_cache(maxsize=1)(lambda start: self.images[start : start + AT_ONCE])

    def __iter__(self) -> Iterator[str]:
        return chain(["grid.png"], self.numbers)

    def __len__(self) -> int:
        return 1 + len(self.numbers)

    def __getitem__(self, name: str) -> bytes:
        if name == "grid.png":
            return png(self._grid())
        start, place = divmod(self.numbers[name], AT_ONCE)
        return png(to_picture(self._few(start * AT_ONCE)[place]))

    def _grid(self) -> Image:
        layout, texts = self.drawn.layout, self.drawn.captions
        shown = self.images[torch.tensor([i for line in layout.lines for i in line])]
        if self.drawn.beginning:
            return draw_grid(*self.drawn.beginning.sheet(shown, layout, texts))
        return draw_grid(shown, layout.grid, texts)
