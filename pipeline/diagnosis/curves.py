"""What the curves of a training tell. Pure functions of its history, the oldest record first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .finding import Finding

if TYPE_CHECKING:
    from ..recipe.schema import Ema

History = Sequence[Mapping[str, Any]]

LEARNT_BY = 300
"""Steps after which a network should be better than zeros. The smallest one of the tests has 0.4 of
the zeros' loss after 150."""

NOTHING_LEARNT = 0.95
"""Of the loss of zeros. To see that a picture of noise is noise takes a network below a half."""

LAGS = 1.2
"""The average's loss over that of the weights. Soon it is lower; in its first 150 steps, when the
loss falls fastest, the smallest network of the tests has 1.1 with warm-up."""

RISES = 1.02
"""The validation loss over its lowest. Its images, times and noise are the same every time, so it
hardly trembles: without overfitting it falls from validation to validation."""

SPIKES, SPIKES_AT_FIRST = 1.5, 5.0
"""The highest loss of a step over that of zeros. A network that has learned anything stays below
1 in every batch; the margin is for batches of a few unusual images, and before the first validation
for networks whose first guesses are worse than none."""

WAITS = 0.25
"""The share of the time: below it, the fastest reading would gain little."""

WAITS_SECONDS = 1.0
"""So long since the last validation at least: a hiccup of the machine is nothing to mend."""

FEW_IMAGES = 100
"""Fewer make scores that are mostly chance. Of recipes/flowers32_small.yaml, KID is 7.6 ± 0.2 on
1,638 images; 100 would make that ± 0.9, more than one upsampler gains over another there."""

INTERVAL = 1.96
"""Standard errors on each side of a 95 % interval."""


def predicting_zero(history: History) -> Finding | None:
    """Neither the weights nor their average are better than zeros: same images, times and noise."""
    last = history[-1]
    zeros, raw = last.get("loss_of_zeros"), last.get("validation_raw_loss")
    if zeros is None or raw is None or last["step"] < LEARNT_BY:
        return None
    if min(raw, last["validation_loss"]) < NOTHING_LEARNT * zeros:
        return None
    return Finding(
        "predicting zero",
        f"after {last['step']} steps the validation loss is {raw:.3f}, no better than the "
        f"{zeros:.3f} of a network that always gives zeros: nothing has been learned.",
        "Look for a train.optimizer.lr ten times higher or lower; if none helps, the images may be "
        "empty (look at them) or the backbone lets no gradient through.",
    )


def average_not_warm(history: History, ema: Ema) -> Finding | None:
    """The average of the weights is much worse than they are themselves."""
    last = history[-1]
    average, raw = last["validation_loss"], last.get("validation_raw_loss")
    if raw is None or average <= LAGS * raw:
        return None
    start = 1.0 if ema.warmup else ema.decay ** last["step"]
    why = "" if ema.warmup else f" It still holds {start:.0%} of the weights before training."
    enough = round(3 / (1 - ema.decay))
    wait = f"Train on, to {enough} steps or more, or " if last["step"] < enough else ""
    change = "lower train.ema.decay" if ema.warmup else "set train.ema.warmup to true"
    advice = f"{wait}{change}; until then sample with --weights raw."
    return Finding(
        "average not warm",
        f"the running average of the weights has the validation loss {average:.3f}, the weights "
        f"themselves {raw:.3f}; the average is what is sampled and scored.{why}",
        advice[0].upper() + advice[1:],
    )


def overfitting(history: History) -> Finding | None:
    """The validation loss has risen twice or more since its lowest, and the training loss fell."""
    records = [r for r in _whole(history) if "train_loss" in r]
    if not records:
        return None
    values = [record["validation_loss"] for record in records]
    best = values.index(min(values))
    fell = records[-1]["train_loss"] < records[best]["train_loss"]
    if best > len(values) - 3 or min(values[-2:]) <= RISES * values[best] or not fell:
        return None
    return Finding(
        "overfitting",
        f"the validation loss was lowest at step {records[best]['step']} ({values[best]:.4f}) and "
        f"has risen to {values[-1]:.4f}, while the training loss fell from "
        f"{records[best]['train_loss']:.4f} to {records[-1]['train_loss']:.4f}.",
        "Stop there (train.max_steps), train on more images, augment (augment: [horizontal_flip]) "
        "or take a smaller backbone.",
    )


def rate_too_high(history: History) -> Finding | None:
    """A step was much worse than zeros, which a network that has learned something never is."""
    spikes = [
        record
        for i, record in enumerate(history)
        if {"train_highest_loss", "loss_of_zeros"} <= record.keys()
        and record["train_highest_loss"]
        > (SPIKES if i else SPIKES_AT_FIRST) * record["loss_of_zeros"]
    ]
    if not spikes:
        return None
    last = spikes[-1]
    return Finding(
        "learning rate too high",
        f"the loss jumps: before step {last['step']} it was {last['train_highest_loss']:.3g} in "
        f"one step and {last['train_loss']:.3g} on average; a network that gives zeros has "
        f"{last['loss_of_zeros']:.3f}.",
        "Lower train.optimizer.lr (a third of it), begin with warmup_steps in train.lr_schedule, "
        "or set train.clip_gradients to 1.",
    )


def waiting_for_data(history: History) -> Finding | None:
    """Since the validation before, much of the time went by until images were there."""
    before = history[-2] if len(history) > 1 else {}
    waited, seconds = (
        history[-1].get(name, 0.0) - before.get(name, 0.0) for name in ("data_seconds", "seconds")
    )
    if waited < max(WAITS_SECONDS, WAITS * seconds):
        return None
    return Finding(
        "waiting for data",
        f"{waited / seconds:.0%} of the training time since the last validation "
        f"({waited:.0f} of {seconds:.0f} seconds) went into reading and augmenting images.",
        "Use fewer or cheaper augmentations, keep the store on a fast local disk, or prepare "
        "smaller images: those that fit into half of the free memory are read once.",
    )


def untrusted_metrics(history: History) -> list[Finding]:
    """Scores of so few images, or so uncertain, that their curve tells nothing."""
    last = history[-1]
    protocols = last.get("protocol", {})
    found = []
    for name, protocol in protocols.items():
        few = too_few(name, protocol, "train.validate.num_images")
        found += [one for one in (few or _within_noise(name, history),) if one]
    return found


def too_few(name: str, protocol: Mapping[str, Any], key: str) -> Finding | None:
    """A score of fewer than ``FEW_IMAGES`` images, generated or real."""
    counts = {"num_fake": "generated", "num_real": "real"}
    few = {
        word: protocol[count]
        for count, word in counts.items()
        if protocol.get(count, FEW_IMAGES) < FEW_IMAGES
    }
    if not few:
        return None
    advice = {
        "generated": f"set {key} to {FEW_IMAGES} at least, better 1000",
        "real": "raise split.validation or add images",
    }
    advised = " and ".join(advice[word] for word in few)
    return Finding(
        f"{name} cannot be trusted",
        f"it was measured on {' and '.join(f'{n} {word}' for word, n in few.items())} images only.",
        f"{advised[0].upper()}{advised[1:]}.",
    )


def _within_noise(name: str, history: History) -> Finding | None:
    """No two values of three or more are further apart than their common interval is wide."""
    error = f"{name}_standard_error"
    records = [record for record in history if name in record and error in record]
    if len(records) < 3:
        return None
    low, high = (pick(records, key=lambda record: record[name]) for pick in (min, max))
    change = high[name] - low[name]
    interval = INTERVAL * (low[error] ** 2 + high[error] ** 2) ** 0.5
    if change > interval:
        return None
    return Finding(
        f"{name} cannot be trusted",
        f"all {len(records)} values lie within {change:.4f}, and the 95 % interval of such a "
        f"difference is ± {interval:.4f}: they do not tell which checkpoint is better.",
        "Score more images (train.validate.num_images, split.validation), or choose by the "
        "validation loss (train.validate.metrics: []).",
    )


def _whole(history: History) -> History:
    """Without an end between regular validations: its training loss is of a few steps."""
    steps = [0, *(record["step"] for record in history)]
    partial = len(history) > 1 and steps[-1] - steps[-2] < steps[-2] - steps[-3]
    return history[:-1] if partial else history
