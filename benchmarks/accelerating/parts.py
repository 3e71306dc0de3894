"""What is measured, part by part: each is a function of the bench that gives a row's values."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline import Rates
from pipeline.artifacts.embed import embed, read_features
from pipeline.artifacts.prepare import prepare, read_images
from pipeline.diffusion.images import Images
from pipeline.diffusion.measure import extract
from pipeline.diffusion.precision import DTYPES, best_precision, check_precision
from pipeline.errors import Failed, Interrupted
from pipeline.runs.metrics import by_name
from pipeline.training.batches import training_batches
from pipeline.training.loop import Training
from pipeline.training.validate import Measure

from .bench import Bench, FromFile, ReadAhead, draw

Values = Mapping[str, object]

WAYS = {
    "on the device": Images,
    "read ahead from memory": ReadAhead,
    "read ahead from the file": FromFile,
}
"""Where the images of a step come from."""

STEPS = ("seconds_a_step", "images_per_second", "outside_network", "waiting_for_data")


def steps(bench: Bench, network: str, precision: str, compiled: bool) -> Values:
    """A training step, the network's part of it, sampling, and the memory that training takes."""
    check_precision(precision, bench.device)
    if compiled and bench.small and bench.on_a_cpu:
        raise Failed("left out of --small: on a CPU compiling takes minutes")
    if compiled:
        torch.compiler.reset()  # else the ninth network would silently be left as it is
    bench.forget_peak()
    changes = f"train.precision={precision}", f"train.compile={str(compiled).lower()}"
    training = bench.training(network, *changes)
    values = {**stepping(bench, training), "peak_memory": bench.peak}
    if not compiled:  # nor does the engine compile what draws
        request = bench.request(bench.sizes.batch, precision)
        (seconds,) = bench.repeated(lambda: draw(training.model, request))
        values["drawn_per_second"] = bench.sizes.batch / median(seconds)
    return values


def stepping(bench: Bench, training: Training) -> dict[str, object]:
    """Seconds of a whole step, and what of it is not the network's and what waits for images."""
    first = bench.seconds_of(training.one_step)
    before, step = training.feed.waited, training.step
    whole, alone = bench.repeated(training.one_step, network_alone(training))
    waited = (training.feed.waited - before) / (training.step - step)
    seconds = median(whole)
    outside = median(1 - b / a for a, b in zip(whole, alone, strict=True))
    values = seconds, bench.sizes.batch / seconds, outside, waited / seconds
    return {**dict(zip(STEPS, values, strict=True)), "first_step": first}


def network_alone(training: Training) -> Callable[[], None]:
    """Forward and backward pass of a training's network on inputs that stay the same."""
    device, shape = training.model.device, training.images.shape
    x = torch.randn(training.settings.batch_size, *shape, device=device)
    x = x.to(memory_format=torch.channels_last)
    rates = training.recipe.schedule(torch.linspace(0, 1, len(x), device=device))
    scaled = Rates(*(rate.flatten() for rate in rates.over(x).scaled))  # as objectives give them
    training.network.train()

    def work() -> None:
        training.optimizer.zero_grad()
        with training.computation.step():
            loss = training.computation.network(x, scaled, None).square().mean()
            training.computation.backward(loss)

    return work


def feed(bench: Bench, images: str) -> Values:
    """Steps of the book's network, as fast as it goes here, with images from one place or other."""
    precision = best_precision(bench.device)
    reader = WAYS[images](bench.images.path)
    training = bench.training("residual_unet", f"train.precision={precision}", images=reader)
    return {"precision": precision, **stepping(bench, training)}


def features(bench: Bench) -> Values:
    """Images a second of the extractor that comes with its weights, and how many at a time."""
    stage = bench.recipe("residual_unet").features
    assert stage
    extractor = bench.session.extractor(stage)
    count = bench.sizes.batch
    batch = bench.images.batch([i % len(bench.images) for i in range(count)]).to(bench.device)
    (seconds,) = bench.repeated(lambda: list(extract(extractor, [batch])))
    speed = count / median(seconds)
    return {"extractor": extractor.id, "batch": count, "features_per_second": speed}


def samples(bench: Bench, precision: str) -> Values:
    """How much the images of the device differ from those that the CPU draws in float32."""
    drawn = draw(bench.trained, bench.request(bench.sizes.drawn, precision))
    difference = (drawn.int() - bench.on_the_cpu.int()).abs()
    return {
        "drawn": len(drawn),
        "largest_difference": int(difference.max()),
        "mean_difference": float(difference.float().mean()),
        "values_that_differ": float((difference > 0).float().mean()),
    }


def resumed(bench: Bench, precision: str) -> Values:
    """How much weights differ: of the same training again, and of one that stopped and went on."""
    count = bench.sizes.steps
    change = f"train.precision={precision}"

    def trained(*stops: int) -> dict[str, Tensor]:
        folder = bench.new_folder()
        for stop in stops:
            training = bench.training("residual_unet", change, folder=folder)
            choices = training.run(stop, _unwatched)
        return choices["last"][0]

    straight, again, stopped = trained(count), trained(count), trained(count // 2, count)
    return {
        "steps": count,
        "repeated": _largest_difference(straight, again),
        "resumed": _largest_difference(straight, stopped),
    }


def _largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def book(bench: Bench) -> Values:
    """What the recipe comes to in so many minutes, with its validations, as a run trains it."""
    recipe, session = bench.book, bench.session
    assert recipe.features
    artifact = prepare(recipe, session)
    images, folder = read_images(artifact), bench.new_folder()
    real = read_features(embed(artifact, "validation", recipe.features, session))
    metrics = by_name(recipe.train.validate.metrics, session.registry)
    extractor = session.extractor(recipe.features)
    measures = [
        Measure(name, metric, extractor, real, recipe.features) for name, metric in metrics.items()
    ]
    batches = training_batches(images.indices("train"), recipe.seed, recipe.train)
    device, views = bench.device, folder / "views"
    training = Training(recipe, images, batches, measures, session.registry, device, folder, views)
    stop = threading.Timer(bench.minutes * 60, os.kill, (os.getpid(), signal.SIGTERM))
    stop.start()  # as a user would end it: the loop saves and says so
    with suppress(Interrupted):
        training.run(recipe.train.steps(batches.per_epoch), _unwatched)
    stop.cancel()
    return _reached(training)


def _reached(training: Training) -> Values:
    """How far a training came, and its last validation, if it came to one."""
    values: dict[str, object] = {
        "images": len(training.images),
        "steps": training.step,
        "epochs": training.step / training.batches.per_epoch,
        "seconds_a_step": training.seconds / training.step,
        "waiting_for_data": training.feed.waited / training.seconds,
    }
    for record in training.history.records[-1:]:
        scores = {name: score["value"] for name, score in record.scores.items()}
        values |= {"train_loss": record.train["loss"], **scores}
        values |= {"validation_loss": record.validation["loss"], "validated_at": record.epoch}
    return values


def _unwatched(_: Path) -> None:
    """Nobody looks at what validation measured meanwhile."""


class Section(NamedTuple):
    """One table: a function, and the columns of what it is given and gives."""

    measure: Callable[..., Values]
    columns: tuple[str, ...]


SECTIONS = {
    "steps": Section(
        steps,
        (
            *("network", "precision", "compiled"),
            *(*STEPS, "drawn_per_second", "peak_memory", "first_step"),
        ),
    ),
    "feed": Section(feed, ("images", "precision", *STEPS)),
    "features": Section(features, ("extractor", "batch", "features_per_second")),
    "samples": Section(
        samples,
        ("precision", "drawn", "largest_difference", "mean_difference", "values_that_differ"),
    ),
    "resumed": Section(resumed, ("precision", "steps", "repeated", "resumed")),
    "book": Section(
        book,
        (
            *("images", "steps", "epochs", "seconds_a_step", "waiting_for_data"),
            *("train_loss", "validation_loss", "kid", "validated_at"),
        ),
    ),
}


class Part(NamedTuple):
    """One row of a table, before it is measured."""

    section: str
    given: Mapping[str, object]

    def __str__(self) -> str:
        words = ["compiled" if v is True else v for v in self.given.values() if v is not False]
        return " ".join([self.section, *map(str, words)])


def all_parts(bench: Bench) -> list[Part]:
    """What matters most comes first, and compiling, which takes longest, last."""
    order = ["float32", "bf16", "tf32", "fp16"]
    assert set(order) == set(DTYPES)

    def stepped(compiled: bool, precisions: list[str]) -> list[Part]:
        pairs = product(precisions, bench.sizes.networks)
        return [
            Part("steps", {"network": network, "precision": precision, "compiled": compiled})
            for precision, network in pairs
        ]

    return [
        *stepped(False, order),
        *(Part("feed", {"images": way}) for way in WAYS),
        Part("features", {}),
        *(Part("samples", {"precision": precision}) for precision in order),
        *(Part("resumed", {"precision": precision}) for precision in order),
        *stepped(True, ["bf16", "float32", "tf32", "fp16"]),
        *([Part("book", {})] if bench.minutes else []),
    ]
