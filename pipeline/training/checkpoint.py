"""Checkpoints of a training by step, and an optimizer's state as tensors."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import Failed
from ..plugin.every import Every
from ..progress import note
from ..records import Plain
from ..store.weights import is_whole, read_state, read_weights, remove_weights, write_weights

KEEP = 2
"""How many checkpoints are kept: the newest, and one before it should the newest be damaged."""


def save(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, object]
) -> None:
    """Write the checkpoint of ``step`` and remove all but the last ``KEEP``."""
    write_weights(folder / f"step-{step:08d}", tensors, {"step": step, **state})
    for old in _steps(folder)[KEEP:]:
        remove_weights(old)


def latest(folder: Path) -> tuple[dict[str, Tensor], Plain] | None:
    """The tensors and the state of the newest checkpoint that is whole; None without one."""
    for path in _steps(folder):
        try:
            return read_weights(path)
        except (ValueError, OSError) as error:
            note(f"checkpoint {path.name} cannot be used ({error}); trying the one before")
    return None


def newest(folder: Path) -> Plain:
    """The state of the newest checkpoint that is whole, without its tensors; step 0 without one."""
    for path in _steps(folder):
        if is_whole(path):
            return read_state(path)
    return {"step": 0}


def is_due(every: Every, step: int, saved: float) -> bool:
    """Whether to save at this step, where the last time was ``saved`` of ``time.monotonic``."""
    if every.unit == "step":
        return step % every.amount == 0
    seconds = every.amount * {"minute": 60, "second": 1}[every.unit]
    return time.monotonic() - saved > seconds


# An optimizer's state --------------------------------------------------------------------------

Groups = list[dict[str, object]]


def groups_of(optimizer: Optimizer) -> Groups:
    """What an optimizer keeps of each group of parameters: its options, and perhaps state."""
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


def optimizer_state(optimizer: Optimizer, new: Groups) -> tuple[dict[str, Tensor], Plain]:
    """An optimizer's state, as tensors by ``index.name`` and as plain data.

    ``new`` is what ``groups_of`` gave when it was new: what differs is state too, as schedule-free
    optimizers keep it there. ValueError for state that is neither tensors nor plain data.
    """
    tensors: dict[str, Tensor] = {}
    plain: Plain = {"state": {}, "groups": {}}
    values = {
        "state": {
            f"{i}.{k}": v
            for i, entries in optimizer.state_dict()["state"].items()
            for k, v in entries.items()
        },
        "groups": {
            f"{i}.{k}": v
            for i, (group, before) in enumerate(zip(groups_of(optimizer), new, strict=True))
            for k, v in group.items()
            if k != "lr" and not (k in before and _same(v, before[k]))
        },
    }
    for part, entries in values.items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[name if part == "state" else f"group.{name}"] = value
            elif _is_plain(value):
                plain[part][name] = value
            else:
                raise ValueError(f"{name.partition('.')[2]} is a {type(value).__name__}: {value!r}")
    return tensors, plain


def saved_optimizer(optimizer: Optimizer, new: Groups) -> tuple[dict[str, Tensor], Plain]:
    """As ``optimizer_state``. Failed for state that cannot be saved."""
    try:
        return optimizer_state(optimizer, new)
    except ValueError as error:
        name = type(optimizer).__name__
        raise Failed(f"the state of {name} cannot be saved, so it cannot go on: {error}") from None


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Plain) -> None:
    """Put back what ``optimizer_state`` gave into a new optimizer; options are the recipe's."""
    state: dict[int, dict[str, object]] = {}
    groups = optimizer.state_dict()["param_groups"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    inside = {f"group.{name}": value for name, value in plain["groups"].items()}
    for key, value in [*tensors.items(), *plain["state"].items(), *inside.items()]:
        entries: dict[str, object]
        if key.startswith("group."):
            index, name = key.removeprefix("group.").split(".", 1)
            entries = groups[int(index)]
        else:
            index, name = key.split(".", 1)
            entries = state.setdefault(int(index), {})
            value = _laid_out_as(weights[int(index)], value)
        entries[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_as(weight: Tensor, value: object) -> object:
    """The value in the weight's memory layout, where it has its shape.

    Files keep no layout, and fused optimizers read weight and state in the order of their memory.
    """
    if not isinstance(value, Tensor) or value.shape != weight.shape:
        return value
    return torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        both = isinstance(one, Tensor) and isinstance(other, Tensor)
        return both and torch.equal(one, other)  # type: ignore[arg-type]
    return type(one) is type(other) and one == other


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | str) or _is_finite(value)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _steps(folder: Path) -> list[Path]:
    """Complete checkpoints, newest first."""
    files = [p for p in folder.glob("step-*.json") if re.fullmatch(r"step-\d{8,}", p.stem)]
    return [p.with_suffix("") for p in sorted(files, reverse=True)]
