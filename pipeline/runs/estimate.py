"""How long a run will take and in how much memory, from a few steps that are timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..artifacts.anchors import UNTRAINED
from ..diffusion.generate import evaluations
from ..progress import note
from ..recipe.load import Loaded
from ..recipe.schema import Evaluate, Recipe, Sample, Validate
from .cost import work_of
from .fitting import measure_or_advise
from .results import EstimateRecord, ProbeRecord

SECONDS = 10.0
"""How long steps are timed, and drawing: the last of each may go beyond it."""

LEVELS = 4
"""Noise levels of the images that are drawn to time the network; more take longer."""


def estimate(
    loaded: Loaded, probe: ProbeRecord, plugins: Sequence[Path], device: str
) -> EstimateRecord:
    """Measure steps of the untrained network on noise of the images' shape, and reckon up.

    Failed where there is no memory for a step.
    """
    recipe = loaded.recipe
    first = " after compiling, which may take a minute" if recipe.train.compile else ""
    note(f"timing a few steps{first}")
    work = work_of(loaded.data, plugins, device)
    shape, num_classes = probe["shape"], probe["num_classes"]
    work = replace(work, shape=shape, num_classes=num_classes, num_steps=LEVELS, seconds=SECONDS)
    measured = measure_or_advise(work)
    step = measured["cost"]["seconds_a_step"]
    count = count_evaluations(recipe, probe)
    record = EstimateRecord(
        device=device,
        threads=work.threads,
        seconds_a_step=step,
        training_seconds=probe["steps"] * step,
        evaluations=count,
        evaluation_seconds=count * measured["seconds_an_evaluation"],
        peak_memory=measured["cost"]["peak_memory"],
    )
    if recipe.train.compile:
        record["compile_seconds"] = max(0.0, measured["first_step"] - step)
    return record


def count_evaluations(recipe: Recipe, probe: ProbeRecord) -> int:
    """Evaluations of the network beside training, each of one image.

    They are for losses and samples of each validation, for pictures, for scored samples and for
    those of an untrained network beside them.
    """
    settings, scored = recipe.train, recipe.evaluate
    validate, held = settings.validate, probe["num_images"] - probe["num_train"]
    validations = -(-probe["steps"] // validate.every.in_steps(probe["steps_per_epoch"]))
    columns, rows = validate.grid
    each = 2 * held * settings.repeats  # raw weights and their average
    each += columns * rows * _nfe(validate, validate.grid_num_steps)
    if validate.metrics:
        each += (validate.num_images or held) * _nfe(validate, validate.num_steps)
    count = validations * each + recipe.sample.count * _nfe(recipe.sample)
    if scored:
        split = held if scored.split == "validation" else probe["num_train"]
        number = scored.num_images or split
        count += (number + min(number, UNTRAINED)) * _nfe(scored)
    return count


def _nfe(section: Validate | Sample | Evaluate, num_steps: int | None = None) -> int:
    steps, scale = num_steps or section.num_steps, section.guidance_scale
    return evaluations(section.sampler, steps, section.guidance, scale)
