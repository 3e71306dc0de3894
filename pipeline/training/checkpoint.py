"""Checkpoints of a training by step, and an optimizer's state as tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer

from ..progress import note
from ..records import Plain
from ..store.weights import read_weights, write_weights

KEEP = 2
"""How many checkpoints are kept: the newest, and one before it should the newest be damaged."""


def save(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, object]
) -> None:
    """Write the checkpoint of ``step`` and remove all but the last ``KEEP``."""
    write_weights(folder / f"step-{step:08d}", tensors, {"step": step, **state})
    for old in _steps(folder)[KEEP:]:
        for suffix in (".json", ".safetensors"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def latest(folder: Path) -> tuple[dict[str, Tensor], Plain] | None:
    """The tensors and the state of the newest checkpoint that is whole; None without one."""
    for path in _steps(folder):
        try:
            return read_weights(path)
        except (ValueError, OSError) as error:
            note(f"checkpoint {path.name} cannot be used ({error}); trying the one before")
    return None


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint; 0 when there is none."""
    steps = _steps(folder)
    return int(steps[0].name.removeprefix("step-")) if steps else 0


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state, which is tensors in all of torch's optimizers, by ``index.name``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": v for i, entries in state.items() for k, v in entries.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave; options stay those of the recipe."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _steps(folder: Path) -> list[Path]:
    """Complete checkpoints, newest first."""
    files = [p for p in folder.glob("step-*.json") if re.fullmatch(r"step-\d{8,}", p.stem)]
    return [p.with_suffix("") for p in sorted(files, reverse=True)]
