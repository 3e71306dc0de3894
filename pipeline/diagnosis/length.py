"""Whether a training was long enough. Pure functions of its validations and its scores."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence

from ..format import metric_name, number
from ..records import AnchorRecord, DirectionRecord, HistoryRecord, ScoreRecord
from .finding import Finding

History = Sequence[HistoryRecord]

STEEP, SETTLED = 0.1, 0.025
"""The share of all that the loss has fallen that it fell in the second half of the training: above
the first it still falls steeply, and at the second ``residual_unet`` ends on the quickstart's
drawings after 2,500 steps. There it is 0.46 after 200 steps, 0.21 after 300 and 0.13 after 400,
nearly as one over the steps."""

FAR = 0.5
"""The share of the way from real images back to the untrained network at which a score is nearer to
that: KID of such a training is at 0.84 after 120 steps, 0.68 after 400 and 0.25 after 2,500."""

LONGER, LONGEST = 10, 100
"""How many times longer where only a score tells, and at most: then it is time to look again."""


def barely_trained(
    history: History,
    scores: Mapping[str, ScoreRecord],
    anchors: Mapping[str, AnchorRecord],
    directions: Mapping[str, DirectionRecord],
    longer: Callable[[int], str],
) -> Finding | None:
    """The loss still falls steeply, or a score is near the untrained network's.

    ``longer`` gives the command that trains so many times longer.
    """
    share, reasons = second_half(history) or 0.0, far_scores(scores, anchors, directions)
    times = LONGER
    if share > STEEP:
        reasons.insert(0, f"{share:.0%} of all that the loss has fallen it fell in the second half")
        times = min(math.ceil(share / SETTLED), LONGEST)
    if not reasons:
        return None
    return Finding(
        "barely trained",
        f"after {history[-1].step:,} steps {'; '.join(reasons)}.",
        f"Train about {times} times longer: {longer(times)}",
    )


def second_half(history: History) -> float | None:
    """The share of all that the loss has fallen that it fell in the second half of the steps.

    It fell from the loss of zeros. None where it did not, or where nothing was measured in the
    first half.
    """
    if not history or history[0].step > history[-1].step / 2:
        return None
    last, half = history[-1], history[-1].step / 2
    before = [record for record in history if record.step <= half][-1]
    after = next(record for record in history if record.step >= half)
    width = after.step - before.step
    share = (half - before.step) / width if width else 0.0
    middle = (1 - share) * _loss(before) + share * _loss(after)
    if last.loss_of_zeros is None or last.loss_of_zeros <= _loss(last):
        return None
    return (middle - _loss(last)) / (last.loss_of_zeros - _loss(last))


def far_scores(
    scores: Mapping[str, ScoreRecord],
    anchors: Mapping[str, AnchorRecord],
    directions: Mapping[str, DirectionRecord],
) -> list[str]:
    """What is to be said of each distance that is nearer to an untrained network's."""
    said = []
    for name, score in scores.items():
        ends = anchors.get(name, {})
        if "real" not in ends or "untrained" not in ends or directions[name]["higher_is_better"]:
            continue  # precision is 0 at first, however much the distances have fallen
        value, best = score["value"], ends["real"]["value"]
        worst = ends["untrained"]["value"]
        if worst > best and (value - best) / (worst - best) > FAR:
            said.append(
                f"{metric_name(name)} is {number(value)}, nearer to the {number(worst)} of an "
                f"untrained network than to the {number(best)} of real images"
            )
    return said


def longer_command(command: str, changes: Mapping[str, object]) -> str:
    """The command of a run with other values; a name that was given gets ``-longer`` behind it."""
    words, kept = shlex.split(command), list[str]()
    while words:
        word = words.pop(0)
        if word == "--set" and words[0].partition("=")[0] in changes:
            words.pop(0)
        elif word == "--name":
            kept += [word, f"{words.pop(0)}-longer"]
        else:
            kept.append(word)
    sets = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    return shlex.join([*kept, *sets])


def longer_training(
    times: int, history: History, epochs: int, max_steps: int | None, total_steps: int | None
) -> dict[str, int]:
    """The keys of ``train``, with their values, that make it so many times longer.

    ``total_steps`` is the way of the learning rate, where it has a length: one that would be over
    too soon is made as long as the training.
    """
    last = history[-1]
    steps, per_epoch = times * last.step, last.step / last.epoch
    wanted: dict[str, int] = {}
    if max_steps is not None:
        wanted["train.max_steps"] = steps
    if epochs * per_epoch < steps:
        wanted["train.epochs"] = math.ceil(steps / per_epoch - 1e-9)
    if total_steps is not None and total_steps < steps:
        wanted["train.lr_schedule.total_steps"] = steps
    return wanted


def _loss(record: HistoryRecord) -> float:
    """The lower one of the weights and of their average, which lags behind at first."""
    return min(record.validation["loss"], record.raw.get("loss", math.inf))
