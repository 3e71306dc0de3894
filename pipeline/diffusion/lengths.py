"""Averages of a training's weights over lengths that are chosen after it.

Karras et al. 2024, https://arxiv.org/abs/2312.02696, section 3 and appendix C. Two averages follow
the weights, whose lengths are shares of the training so far: a weight of step τ counts in step t as
τ^γ does among all up to t. What both are at some steps is kept as snapshots, and another average is
the sum of snapshots that comes nearest to it.

A *length* is the standard deviation of τ / t by these shares: 0.1 is a tenth of the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ..errors import InputError
from ..store.weights import (
    is_whole,
    read_state,
    read_weights,
    with_prefix,
    without_prefix,
    write_weights,
)
from .ema import Follower

KEPT = (0.05, 0.1)
"""The lengths that follow the training, those of the paper."""
LONGEST = 12**-0.5
"""The length of the mean of all steps, γ = 0."""
ERROR = 0.1
"""How far the sum of snapshots may be from the shares of the average that is asked for."""
FOLDER = "snapshots"
"""Where snapshots are, in the folder of a training and in that of a model."""

Floats = npt.NDArray[np.float64]


class Lengths:
    """The averages of ``KEPT`` lengths that follow a network."""

    def __init__(self, network: nn.Module) -> None:
        self._followers = [Follower(network) for _ in KEPT]

    def update(self, step: int) -> None:
        """Follow the network after training step ``step``; after the first, 1, they equal it."""
        for length, follower in zip(KEPT, self._followers, strict=True):
            kept = (1 - 1 / step) ** (exponent(length) + 1)
            follower.move(1 - kept)

    def state(self) -> dict[str, Tensor]:
        """Both averages, for a checkpoint or a snapshot."""
        found: dict[str, Tensor] = {}
        for length, follower in zip(KEPT, self._followers, strict=True):
            found |= with_prefix(f"{length}", follower.network.state_dict())
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on with what ``state`` gave."""
        for length, follower in zip(KEPT, self._followers, strict=True):
            follower.network.load_state_dict(without_prefix(f"{length}", state))

    def save(self, folder: Path, step: int) -> None:
        """Write a snapshot after this step."""
        _write(folder, step, self.state())


@lru_cache
def exponent(length: float) -> float:
    """γ of a length σ (eq. 123): σ² = (γ + 1) / ((γ + 2)² (γ + 3)), which falls with γ."""
    from scipy.optimize import brentq  # here: it takes a quarter of a second, and few ask for it

    def too_long(power: float) -> float:
        return (power + 1) / ((power + 2) ** 2 * (power + 3)) - length**2

    return float(brentq(too_long, 0, 1 / length))


@dataclass(frozen=True)
class Profiles:
    """Averages by the step at which they end and by γ: what shares weights have in them."""

    steps: Floats
    exponents: Floats

    def products(self, other: Profiles) -> Floats:
        """The integrals of the product of each of these with each of the other: (N, M)."""
        t, g = self.steps[:, None], self.exponents[:, None]
        u, h = other.steps, other.exponents
        scale = (g + 1) * (h + 1) / (g + h + 1)
        found: Floats = scale * np.minimum(t, u) ** (g + h + 1) / (t ** (g + 1) * u ** (h + 1))
        return found


def shares(steps: Sequence[int], length: float) -> tuple[Floats, float]:
    """The shares of snapshots that make the average of this length at the last of ``steps``.

    Returns them, first those of the first step for each of ``KEPT``, and the distance of their sum
    from what is asked for, relative. Their sum is 1: weights that never change are their average.
    """
    pairs = [(step / steps[-1], exponent(kept)) for step in steps for kept in KEPT]
    snapshots = Profiles(*np.array(pairs).T)
    wanted = Profiles(np.array([1.0]), np.array([exponent(length)]))
    among, with_it = snapshots.products(snapshots), snapshots.products(wanted)[:, 0]
    solved = np.linalg.lstsq(among, with_it, rcond=None)[0]
    found: Floats = solved / solved.sum()
    norm = wanted.products(wanted)[0, 0]
    square = norm - 2 * found @ with_it + found @ among @ found
    return found, float(np.sqrt(max(square, 0.0) / norm))


def averaged(model: Path, length: float) -> dict[str, Tensor]:
    """The average of this length at the end of a model's training, by its snapshots.

    Raises InputError where there are none, or where they do not tell this length.
    """
    steps = snapshots_in(model)
    if not steps:
        raise InputError(
            f"ema {length:g}: this model has no snapshots of its averages, as exported ones have "
            "none: train it with train.ema.snapshot_every, such as '200 steps'"
        )
    found, error = shares(steps, length)
    if error > ERROR:
        told = [one for one in np.arange(0.005, LONGEST, 0.005) if shares(steps, one)[1] <= ERROR]
        raise InputError(
            f"ema {length:g}: the {len(steps)} snapshots of this model tell lengths from "
            f"{min(told):.3g} to {max(told):.3g}; closer ones (train.ema.snapshot_every) tell more"
        )
    total: dict[str, Tensor] = {}
    for step, parts in zip(steps, found.reshape(len(steps), -1).tolist(), strict=True):
        tensors, _ = read_weights(_file(model, step))
        for kept, part in zip(KEPT, parts, strict=True):
            for name, tensor in without_prefix(f"{kept}", tensors).items():
                if not tensor.is_floating_point():
                    total[name] = tensor  # a count is that of the last step
                elif name in total:
                    total[name].add_(tensor.double(), alpha=part)
                else:
                    total[name] = tensor.double() * part
    return {k: v.float() if v.is_floating_point() else v for k, v in total.items()}


def snapshots_in(folder: Path) -> list[int]:
    """The steps of the snapshots in the folder of a training or of a model, in their order."""
    found = (read_state(file.with_suffix("")) for file in (folder / FOLDER).glob("step-*.json"))
    return sorted(state["step"] for state in found)


def copy_snapshots(training: Path, model: Path, before: int) -> None:
    """Copy the snapshots of a training before this step into the folder of a model."""
    for step in snapshots_in(training):
        if step < before:
            _write(model, step, read_weights(_file(training, step))[0])


def missing_snapshot(training: Path, every: int, step: int) -> int | None:
    """The first step up to ``step`` whose snapshot should be there and is not, or is damaged."""
    due = range(every, step + 1, every) if every else ()
    return next((one for one in due if not is_whole(_file(training, one))), None)


def _file(folder: Path, step: int) -> Path:
    """The pair of files of a snapshot, without their suffixes."""
    return folder / FOLDER / f"step-{step:08d}"


def _write(folder: Path, step: int, tensors: Mapping[str, Tensor]) -> None:
    (folder / FOLDER).mkdir(exist_ok=True)
    write_weights(_file(folder, step), tensors, {"step": step})
