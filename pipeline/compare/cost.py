"""What variants cost: seconds a step, images a second, memory, parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from ..artifacts.prepare import read_images
from ..artifacts.trajectory import trajectory_of
from ..machine import machine
from ..progress import note
from ..records import CostRecord, Plain
from ..runs.cost import Work, measure, work_of
from ..runs.requests import scored_request
from ..store.manifest import key_of
from .setting import Setting
from .subjects import Subject

COST = "cost.json"

ROUNDS = 2
"""Trainings are measured in turn, and then in turn the other way: a machine that grows slower, or
is busy for a while, does not only slow down the last."""
STEPS, DRAWS, LEVELS = 8, 2, 5
"""What is timed in each round: training steps, and drawings in so many noise levels."""


class TimesRecord(TypedDict):
    """What was measured of one training."""

    parameters: int
    peak_memory: int
    step: list[float]
    """Seconds of each step."""
    evaluation: list[float]
    """Seconds of an evaluation of the network for one image of many."""


def measure_costs(subjects: Sequence[Subject], setting: Setting) -> list[CostRecord]:
    """The cost of each variant; what is trained alike is measured once.

    Parameters, seconds a step and images drawn a second (medians, and between what half of them
    lie) and peak memory. Measured once on a machine, of untrained networks, by turns, in processes
    of their own. Memory is in bytes and of training: the device's on a GPU, on a CPU what the
    process takes beyond data and libraries.
    """
    given = [_ingredients(subject, setting) for subject in subjects]
    keys = [key_of("cost", one) for one in given]
    trainings = dict(zip(keys, given, strict=True))
    works = {key: _work(subject, setting) for key, subject in zip(keys, subjects, strict=True)}
    ingredients = {"trainings": [trainings[key] for key in sorted(trainings)]}

    def build(folder: Path) -> None:
        note("measuring seconds a step, images a second and memory of untrained networks")
        (folder / COST).write_text(json.dumps(_by_turns(works)), encoding="utf-8")

    artifact = setting.session.store.get_or_build("cost", ingredients, build)
    times: dict[str, TimesRecord] = json.loads((artifact.path / COST).read_text(encoding="utf-8"))
    return [_record(times[key], _nfe(s, setting)) for key, s in zip(keys, subjects, strict=True)]


def _ingredients(subject: Subject, setting: Setting) -> Plain:
    """What the cost of a training depends on: not its seed, nor how the learning rate changes."""
    session, recipe = setting.session, subject.variant.loaded.recipe
    trajectory = trajectory_of(recipe, session.registry, subject.images)
    train = {k: v for k, v in trajectory["train"].items() if k != "lr_schedule"}
    return {
        **{k: v for k, v in trajectory.items() if k != "seed"},
        "train": train,
        "precision": scored_request(recipe, read_images(subject.images)).precision,
        "compile": recipe.train.compile,
        "device": setting.session.device,
        "machine": machine(setting.session.device),
    }


def _work(subject: Subject, setting: Setting) -> Work:
    work = work_of(subject.variant.loaded.data, setting.plugins, setting.session.device)
    path = str(read_images(subject.images).path)
    return replace(work, images=path, steps=STEPS, draws=DRAWS, num_steps=LEVELS)


def _by_turns(works: Mapping[str, Work]) -> dict[str, TimesRecord]:
    """Measure all in each round, there and back."""
    times: dict[str, TimesRecord] = {}
    for turn in range(ROUNDS):
        for key in list(works)[:: -1 if turn % 2 else 1]:
            measured = measure(works[key])
            cost = measured["cost"]
            before = times.get(key)
            times[key] = {
                "parameters": cost["parameters"],
                "peak_memory": max(cost["peak_memory"], before["peak_memory"] if before else 0),
                "step": (before["step"] if before else []) + measured["steps"],
                "evaluation": (before["evaluation"] if before else []) + measured["evaluations"],
            }
    return times


def _nfe(subject: Subject, setting: Setting) -> int:
    request = scored_request(subject.variant.loaded.recipe, read_images(subject.images))
    return replace(request, num_steps=setting.num_steps or request.num_steps).nfe


def _record(times: TimesRecord, nfe: int) -> CostRecord:
    steps, images = np.array(times["step"]), 1 / (nfe * np.array(times["evaluation"]))
    return {
        "parameters": times["parameters"],
        "seconds_a_step": float(np.median(steps)),
        "seconds_a_step_half": _half(steps),
        "images_per_second": float(np.median(images)),
        "images_per_second_half": _half(images),
        "peak_memory": times["peak_memory"],
    }


def _half(values: np.ndarray) -> tuple[float, float]:
    """Between what the middle half of these values lies."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(low), float(high)
