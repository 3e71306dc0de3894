"""A folder of photos: what to train them with, by their number, their size and the device.

The numbers come from runs of this project on the 8,189 photos of Oxford Flowers (docs/results.md):
96,000 images seen at 32×32 are flowers that anyone recognises, 1.6 million at 64×64 are the book's.
An average over a twentieth of the training is near the best for any length (Karras et al. 2024,
https://arxiv.org/abs/2312.02696, section 3.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts.split import halves
from ..errors import InputError
from ..machine import choose_device
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import Loaded, load
from ..recipe.yaml12 import flow
from .claim import recipe_in
from .layout import RUNS

RECIPE = "photos"
"""The packaged recipe."""
FEWEST = 10
"""Photos below which nothing can be learnt and validated."""
FEW = 100
"""Validation photos below which KID tells too little."""
MANY = 50_000
"""Photos from which on mirrored ones add little."""
PASSES = 1000
"""How often a photo is seen at most."""
ASKED = "as asked"
"""The reason of what the user gave."""
SIZES = range(16, 257, 8)
"""Heights and widths that the recipe's network takes, in pixels."""


@dataclass(frozen=True)
class Setting:
    """A value of the recipe, as it is written there, and why it was chosen."""

    key: str
    value: str
    why: str

    @property
    def text(self) -> str:
        """As ``--set`` takes it."""
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class Photos:
    """What was asked for: a folder, the size of the pictures, and whether classes are used."""

    data: Path
    size: int = 64
    conditional: bool = False

    @property
    def options(self) -> list[str]:
        """As ``pipeline run`` takes them."""
        given = ["--data", str(self.data), "--size", str(self.size)]
        return [*given, *["--conditional"] * self.conditional]


def init(
    recipe: Path,
    data: Path,
    *,
    size: int = 64,
    conditional: bool = False,
    device: str = "auto",
) -> Path:
    """Write a commented recipe for the photos in a folder, to be edited and run.

    recipe: the file to write, such as ``my.yaml``; one that is there is not overwritten.
    data: the folder of photos, see ``image_folder``.
    size: height and width of the pictures, in pixels, a multiple of 8.
    conditional: whether the network is told the class, which sub-folders are.
    device: what it will be trained on; the length of training follows from it.

    Raises InputError for a folder without enough photos, and for a file that is there.
    """
    if recipe.exists():
        raise InputError(f"{recipe} is there already: take another name")
    photos = Photos(data, size, conditional)
    recipe.write_text(_text(recipe, photos, _chosen(photos, Registry.load(), device)), "utf-8")
    return recipe


def load_photos(
    recipe: str | Path,
    photos: Photos,
    overrides: Sequence[str],
    name: str | None,
    registry: Registry,
    device: str,
) -> tuple[Loaded, dict[str, str]]:
    """The recipe for these photos, and what was chosen for them, with the reasons.

    What their run has is kept, also where this device would be given other numbers.

    The run is called like the folder. InputError for another recipe than the packaged one.
    """
    if str(recipe) != RECIPE and Path(recipe).stem != RECIPE:
        raise InputError(
            f"--data: is for `pipeline run {RECIPE}`; {recipe} has a dataset of its own, which "
            "--set dataset.root=… changes"
        )
    called = re.sub(r"[^\w.+=,-]+|^\W+", "-", photos.data.resolve().name) or RECIPE
    settings = _kept(RUNS / (name or called), _chosen(photos, registry, device), registry)
    given = [f"name={flow(called)}", *(setting.text for setting in settings)]
    told = {s.text.replace("=", ": ", 1): s.why for s in settings if s.why != ASKED}
    return load(recipe, overrides, registry=registry, name=name, given=given), told


def _kept(folder: Path, settings: list[Setting], registry: Registry) -> list[Setting]:
    """The settings as the run in this folder has them, if it is of the same photos and size."""
    recipe = recipe_in(folder)
    asked = [s for s in settings if s.why == ASKED]
    if recipe is None:
        return settings
    wanted = load(RECIPE, [s.text for s in asked], registry=registry).data
    if any(_at(recipe, s.key) != _at(wanted, s.key) for s in asked):
        return settings
    why = f"as {folder} has it"
    return [s if s in asked else Setting(s.key, flow(_at(recipe, s.key)), why) for s in settings]


def _chosen(photos: Photos, registry: Registry, device: str) -> list[Setting]:
    """All settings that follow from these photos. InputError where there are too few."""
    if photos.size not in SIZES:
        raise InputError(f"--size {photos.size}: should be a multiple of 8 from 16 to 256")
    root = photos.data.expanduser()
    given = [f"dataset.root={flow(str(root))}"]
    recipe = load(RECIPE, given, registry=registry).recipe
    source = recipe.dataset()
    count = len(source)
    if count < FEWEST:
        raise InputError(
            f"{root}: {count} photos are too few; {FEWEST} are the least, and pictures that are "
            "more than copies need hundreds"
        )
    share = 0.1 if count >= 10 * FEW else 0.2
    recipe = load(RECIPE, [*given, f"split.validation={share}"], registry=registry).recipe
    held_out = int(halves(source, recipe.split).sum())
    classes = photos.conditional or None
    asked = [
        Setting("dataset.root", flow(str(root)), ASKED),
        Setting("preprocess", f"[center_crop, {{name: resize, size: {photos.size}}}]", ASKED),
        Setting("train.condition", "class" if classes else "null", ASKED),
    ]
    if source.class_names and not classes:
        note(f"{root}: has {len(source.class_names)} classes; --conditional trains with them")
    on_gpu = choose_device(device) != "cpu"
    split = Setting("split.validation", f"{share}", f"of {count:,} photos")
    return [
        *asked,
        split,
        *_for_training(count - held_out, photos.size, on_gpu),
        *_scores(held_out),
    ]


def _for_training(count: int, size: int, on_gpu: bool) -> list[Setting]:
    """Length, batches, network and averages for so many photos to train with."""
    where = "a GPU" if on_gpu else "a CPU"
    seen = 1_600_000 if on_gpu else 96_000 if size <= 32 else 64_000 if size <= 64 else 24_000
    # No more than half of them: some may be left out, if they cannot be read.
    batch = min(64 if on_gpu else 32 if size <= 64 else 16, max(1, count // 2))
    per_epoch = count // batch
    epochs = max(1, min(round(seen / batch / per_epoch), PASSES))
    steps = epochs * per_epoch
    length = (
        f"{steps:,} steps: {epochs * per_epoch * batch:,} photos seen, on {where} at {size}×{size}"
    )
    if epochs == PASSES:
        length = f"{steps:,} steps: a photo seen more than {PASSES:,} times is learnt by heart"
    depth = 2 if on_gpu or size <= 32 else 1
    decay = min(0.9999, max(0.9, 1 - 20 / steps))
    every = max(1, epochs // 5)
    return [
        _mirrored(count),
        Setting("backbone.block_depth", f"{depth}", f"on {where} at {size}×{size}"),
        Setting("train.epochs", f"{epochs}", length),
        Setting("train.batch_size", f"{batch}", f"{count:,} photos to train with, on {where}"),
        Setting(
            "train.lr_schedule",
            f"{{name: cosine, warmup_steps: {min(500, steps // 20)}}}",
            "ends with the training, after a twentieth of it to warm up",
        ),
        Setting("train.ema.decay", f"{decay:.4g}", "an average over a twentieth of the training"),
        Setting("train.validate.every", f"{every} epochs", "five times in all"),
    ]


def _mirrored(count: int) -> Setting:
    """Whether photos are flipped at random."""
    if count >= MANY:
        return Setting("augment", "[]", f"{count:,} photos are enough without mirrored ones")
    return Setting("augment", "[horizontal_flip]", "mirrored too, unless they show writing")


def _scores(held_out: int) -> list[Setting]:
    """What is measured against so many validation photos."""
    enough = held_out >= FEW
    why = f"{held_out} photos to compare with" + ("" if enough else f"; KID needs {FEW} at least")
    metrics, scored = ("[kid]", "{num_steps: 20, metrics: [kid]}") if enough else ("[]", "null")
    few = f"{min(held_out, 500)}" if enough else "null"
    return [
        Setting("train.validate.metrics", metrics, why),
        Setting("train.validate.num_images", few, why),
        Setting("evaluate", scored, why),
    ]


def _text(recipe: Path, photos: Photos, settings: Sequence[Setting]) -> str:
    """The packaged recipe with these settings, each with its reason."""
    lines = [
        "# yaml-language-server: $schema=recipe.schema.json",
        f"# Photos in {photos.data}. What follows from them is said behind each value; change any.",
        "#",
        f"#   pipeline run {recipe}",
        "#",
        "# pipeline show FILE prints every other value, pipeline show --keys what it means.",
        f"extends: {RECIPE}",
    ]
    tree: dict[str, Any] = {}
    for setting in settings:
        *sections, last = setting.key.split(".")
        inner = tree
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = setting
    return "\n".join([*lines, *_lines(tree, "")]) + "\n"


def _lines(tree: dict[str, Any], indent: str) -> Iterator[str]:
    """YAML of nested settings, the reason behind each."""
    for key, inner in tree.items():
        if isinstance(inner, Setting):
            yield f"{indent}{key}: {inner.value}  # {inner.why}"
        else:
            yield f"{indent}{key}:"
            yield from _lines(inner, indent + "  ")


def _at(data: object, key: str) -> object:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data
