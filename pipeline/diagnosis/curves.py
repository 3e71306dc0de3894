"""What the curves of a training tell. Pure functions of its validations, the oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..format import REACH, metric_name
from ..records import HistoryRecord
from .finding import Finding

if TYPE_CHECKING:
    from ..recipe.schema import Ema

History = Sequence[HistoryRecord]

LEARNT_BY = 300
"""Steps after which a network should be better than zeros. The smallest one of the tests has 0.4 of
the zeros' loss after 150."""

NOTHING_LEARNT = 0.95
"""The share of the loss of zeros above which nothing was learned. To see that a picture of noise is
noise takes a network below a half."""

LAGS = 1.2
"""The average's loss over that of the weights. Soon it is lower; in its first 150 steps, when the
loss falls fastest, the smallest network of the tests has 1.1 with warm-up."""

RISES = 1.02
"""The validation loss over its lowest. Its images, times and noise are the same every time, so it
hardly trembles: without overfitting it falls from validation to validation."""

SPIKES, SPIKES_AT_FIRST = 1.5, 5.0
"""The highest loss of a step over that of zeros. A network that has learned anything stays below
1 in every batch; the margin is for batches of a few unusual images, and before the first validation
for networks whose first guesses are worse than zeros."""

WAITS = 0.25
"""The share of the time: below it, the fastest reading would gain little."""

WAITS_SECONDS = 1.0
"""The shortest wait since the last validation that counts: a hiccup of the machine is nothing to
mend."""

FEW_IMAGES = 100
"""Fewer make scores that are mostly chance. For recipes/flowers32_small.yaml, KID is 7.6 ± 0.2 on
1,638 images; 100 would make that ± 0.9, more than one upsampler gains over another there."""
ENOUGH = f"{FEW_IMAGES} at least, better 1000"
"""How many to ask for."""


def predicting_zero(history: History) -> Finding | None:
    """Neither the weights nor their average are better than zeros: same images, times and noise."""
    last = history[-1]
    zeros, raw = last.loss_of_zeros, last.raw.get("loss")
    if zeros is None or raw is None or last.step < LEARNT_BY:
        return None
    if min(raw, last.validation["loss"]) < NOTHING_LEARNT * zeros:
        return None
    return Finding(
        "predicting zero",
        f"after {last.step} steps the validation loss is {raw:.3f}, no better than the "
        f"{zeros:.3f} of a network that always gives zeros: nothing has been learned.",
        "Look for a train.optimizer.lr ten times higher or lower; if none helps, the images may be "
        "empty (look at them) or the backbone lets no gradient through.",
    )


def average_not_warm(history: History, ema: Ema) -> Finding | None:
    """The average of the weights is much worse than they are themselves."""
    last = history[-1]
    average, raw = last.validation["loss"], last.raw.get("loss")
    if raw is None or average <= LAGS * raw:
        return None
    start = ema.decay**last.step
    why = "" if ema.warmup else f" It still holds {start:.0%} of the weights before training."
    return Finding(
        "average not warm",
        f"the running average of the weights has the validation loss {average:.3f}, the weights "
        f"themselves {raw:.3f}; the average is what is sampled and scored.{why}",
        _warming(last.step, ema),
    )


def _warming(step: int, ema: Ema) -> str:
    """What brings the average up with the weights."""
    enough = round(3 / (1 - ema.decay))
    wait = f"Train on, to {enough} steps or more, or " if step < enough else ""
    change = "lower train.ema.decay" if ema.warmup else "set train.ema.warmup to true"
    advice = f"{wait}{change}; until then sample with --weights raw."
    return advice[0].upper() + advice[1:]


def overfitting(history: History) -> Finding | None:
    """The validation loss has risen twice or more since its lowest, and the training loss fell."""
    records = [record for record in _whole(history) if "loss" in record.train]
    if not records:
        return None
    values = [record.validation["loss"] for record in records]
    best = values.index(min(values))
    before, after = records[best].train["loss"], records[-1].train["loss"]
    if best > len(values) - 3 or min(values[-2:]) <= RISES * values[best] or after >= before:
        return None
    return Finding(
        "overfitting",
        f"the validation loss was lowest at step {records[best].step} ({values[best]:.4f}) and "
        f"has risen to {values[-1]:.4f}, while the training loss fell from {before:.4f} to "
        f"{after:.4f}.",
        "Stop there (train.max_steps), train on more images, augment them (the recipe's section "
        "augment) or take a smaller backbone.",
    )


def rate_too_high(history: History) -> Finding | None:
    """A step was much worse than zeros, which a network that has learned something never is."""
    spikes = [record for i, record in enumerate(history) if _is_spike(record, first=i == 0)]
    if not spikes:
        return None
    last = spikes[-1]
    return Finding(
        "learning rate too high",
        f"the loss jumps: before step {last.step} it was {last.highest_loss:.3g} in "
        f"one step and {last.train['loss']:.3g} on average; a network that gives zeros has "
        f"{last.loss_of_zeros:.3f}.",
        "Lower train.optimizer.lr (a third of it), let it rise slowly at first "
        "(train.lr_schedule), or set train.clip_gradients to 1.",
    )


def _is_spike(record: HistoryRecord, *, first: bool) -> bool:
    highest, zeros = record.highest_loss, record.loss_of_zeros
    if highest is None or zeros is None:
        return False
    return highest > (SPIKES_AT_FIRST if first else SPIKES) * zeros


def waiting_for_data(history: History) -> Finding | None:
    """Since the validation before, much of the time went by until images were there."""
    last, before = history[-1], history[-2] if len(history) > 1 else None
    waited = last.data_seconds - (before.data_seconds if before else 0.0)
    seconds = last.seconds - (before.seconds if before else 0.0)
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
    findings = []
    for name, score in history[-1].scores.items():
        few = too_few(name, score["protocol"], f"set train.validate.num_images to {ENOUGH}")
        findings.append(few or _within_noise(name, history))
    return [finding for finding in findings if finding]


def too_few(name: str, protocol: Mapping[str, object], more: str) -> Finding | None:
    """A metric was measured on fewer than ``FEW_IMAGES`` images, generated or real.

    ``more`` says how more are generated.
    """
    advice = {
        "generated": ("num_fake", more),
        "real": ("num_real", "raise split.validation or add images"),
    }
    counts = {word: protocol.get(count) for word, (count, _) in advice.items()}
    few = {
        word: number
        for word, number in counts.items()
        if isinstance(number, int) and number < FEW_IMAGES
    }
    if not few:
        return None
    advised = " and ".join(advice[word][1] for word in few)
    return Finding(
        f"{metric_name(name)} cannot be trusted",
        f"it was measured on {' and '.join(f'{n} {word}' for word, n in few.items())} images only.",
        f"{advised[0].upper()}{advised[1:]}.",
    )


def _within_noise(name: str, history: History) -> Finding | None:
    """No two values of three or more are further apart than their common interval is wide."""
    scores = [record.scores[name] for record in history if name in record.scores]
    values = [(s["value"], s["standard_error"]) for s in scores if "standard_error" in s]
    if len(values) < 3:
        return None
    (low, low_error), (high, high_error) = (
        pick(values, key=lambda pair: pair[0]) for pick in (min, max)
    )
    change, interval = high - low, REACH * (low_error**2 + high_error**2) ** 0.5
    if change > interval:
        return None
    return Finding(
        f"{metric_name(name)} cannot be trusted",
        f"all {len(values)} values lie within {change:.4f}, and the 95 % interval of such a "
        f"difference is ± {interval:.4f}: they do not tell which checkpoint is better.",
        "Score more images (train.validate.num_images, split.validation), or choose by the "
        "validation loss (train.validate.metrics: []).",
    )


def _whole(history: History) -> History:
    """Without an end between regular validations: its training loss is of a few steps."""
    steps = [0, *(record.step for record in history)]
    partial = len(history) > 1 and steps[-1] - steps[-2] < steps[-2] - steps[-3]
    return history[:-1] if partial else history
